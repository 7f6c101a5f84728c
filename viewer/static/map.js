// What a point of scatter and map is: shown where a pointer is near it, opened by a click.
// Without this the pictures stand as they are, and the table of flagged rows leads to the samples.
(() => {
  "use strict";
  const island = document.getElementById("points");
  const pair = island && island.closest("[data-sample]");
  if (!pair) return;
  const points = JSON.parse(island.textContent);
  const NEAR = 14; // pixels

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  const [name, prompt, told] = ["code", "p", "p"].map((tag) => tip.appendChild(document.createElement(tag)));
  told.className = "told";
  document.body.append(tip);

  const address = (at) => {
    // In a report only some samples have a page; the others stand together on one.
    const pattern = pair.dataset.paged?.[at] === "0" ? pair.dataset.other : pair.dataset.sample;
    return pattern.replace("__ID__", encodeURIComponent(points.ids[at]));
  };

  const nearest = (figure, event) => {
    const svg = figure.querySelector("svg");
    const box = svg.getBoundingClientRect();
    const unit = box.width / svg.viewBox.baseVal.width;
    const [x, y] = [(event.clientX - box.left) / unit, (event.clientY - box.top) / unit];
    let [found, least] = [-1, (NEAR / unit) ** 2];
    const spots = points[figure.dataset.points];
    for (let at = 0; 2 * at < spots.length; at += 1) {
      if (spots[2 * at] === null) continue;
      const far = (spots[2 * at] - x) ** 2 + (spots[2 * at + 1] - y) ** 2;
      if (far < least) [found, least] = [at, far];
    }
    return found < 0 ? null : { at: found, svg, unit, box };
  };

  const ring = (svg, spot) => {
    let mark = svg.querySelector(".here");
    if (!mark) {
      mark = svg.appendChild(document.createElementNS(svg.namespaceURI, "circle"));
      mark.setAttribute("class", "here");
      mark.setAttribute("r", "6");
    }
    mark.setAttribute("cx", spot[0]);
    mark.setAttribute("cy", spot[1]);
  };

  const hide = () => {
    tip.hidden = true;
    document.querySelectorAll(".chart .here").forEach((mark) => mark.remove());
  };

  const show = (figure, found) => {
    const spots = points[figure.dataset.points];
    const spot = [spots[2 * found.at], spots[2 * found.at + 1]];
    document.querySelectorAll(".chart .here").forEach((mark) => mark.remove());
    ring(found.svg, spot);
    name.textContent = points.ids[found.at];
    prompt.textContent = points.prompts[found.at];
    told.textContent = points.told[found.at] || "not flagged";
    tip.hidden = false;
    const [x, y] = [found.box.left + spot[0] * found.unit, found.box.top + spot[1] * found.unit];
    const left = Math.min(Math.max(x - tip.offsetWidth / 2, 8), window.innerWidth - tip.offsetWidth - 8);
    const above = y - tip.offsetHeight - 14;
    tip.style.left = `${left + window.scrollX}px`;
    tip.style.top = `${(above > 0 ? above : y + 14) + window.scrollY}px`;
  };

  const figureOf = (event) => event.target.closest && event.target.closest("figure[data-points]");
  let last = "mouse";

  document.addEventListener("pointermove", (event) => {
    const figure = figureOf(event);
    const found = figure && nearest(figure, event);
    if (figure) figure.classList.toggle("pointing", Boolean(found));
    if (found) show(figure, found);
    else if (!tip.hidden) hide();
  });
  document.addEventListener("pointerdown", (event) => {
    last = event.pointerType;
  });
  document.addEventListener("click", (event) => {
    const figure = figureOf(event);
    const found = figure && nearest(figure, event);
    if (!found) return;
    // A finger has no way to hover: its first tap shows the sample, a second one opens it.
    const is_shown = !tip.hidden && name.textContent === points.ids[found.at];
    if (last === "mouse" || (is_shown && figure.dataset.tapped === points.ids[found.at])) {
      window.location.assign(address(found.at));
      return;
    }
    figure.dataset.tapped = points.ids[found.at];
    show(figure, found);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
  // The picture's own title would stand over what is shown here; its words stay for those who listen.
  const quiet = () => {
    pair.querySelectorAll("figure[data-points] > svg > title").forEach((title) => {
      title.parentNode.setAttribute("aria-label", title.textContent);
      title.remove();
    });
  };
  quiet();
  document.addEventListener("htmx:afterSwap", () => {
    hide();
    quiet();
  });
})();
