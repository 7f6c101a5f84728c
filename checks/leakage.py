"""Nothing may appear in a proposal that a rewriter can only have invented or carried in.

Secrets by the forms in which vendors issue them or coded, the mark that a known key was taken out,
URLs and e-mail addresses that neither the original prompt, its history nor its answer holds. What
was found is not repeated in the record.
"""

import re

from ..core.records import Proposal, Verdict
from ..core.redaction import REDACTED
from .hints import Hinted
from .literals import addresses

_SECRETS = {
    name: Hinted(re.compile(pattern), tuple(hints))
    for name, pattern, *hints in (
        ("private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----", "-----begin"),
        (
            "api key",
            r"\b(?:sk|pk|rk)-(?:[A-Za-z]{1,20}-){0,3}[A-Za-z0-9_-]{20,200}"
            r"|\b(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|\bAIza[\w-]{35}|\bhf_[A-Za-z0-9]{30,}"
            r"|\bglpat-[\w-]{20,}|\bxox[abeoprs]-[\w-]{10,}|\bSG\.[\w-]{16,}\.[\w-]{16,}",
            *("sk-", "pk-", "rk-", "_live_", "_test_", "aiza", "hf_", "glpat-", "xox", "sg."),
        ),
        (
            "access token",
            r"\bgh[oprsu]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{30,}"
            r"|\bA(?:KIA|SIA)[A-Z0-9]{16}\b|\bya29\.[\w-]{20,}|\bnpm_[A-Za-z0-9]{30,}",
            *("gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_", "akia", "asia", "ya29."),
            "npm_",
        ),
        ("signed token", r"\beyJ[\w-]{10,1000}\.eyJ[\w-]{10,4000}\.[\w-]{10,}", "eyj"),
        (
            "credentials",
            r"(?i)\b(?:api[_-]?key|secret|(?:access|auth)[_-]?token|password|passwd)"
            r"[\"']?\s*[:=]\s*[\"']?(?=[^\s\"']{0,200}\d)[A-Za-z0-9/+_.-]{11,}[A-Za-z0-9/+=]",
            *("key", "secret", "token", "passw"),
        ),
        ("credentials in a URL", r"\b\w+://[^\s/:@]+:[^\s/@]+@", "://"),
        ("key taken out", re.escape(REDACTED), REDACTED),
    )
}
_LONG = re.compile(r"(?<![A-Za-z0-9+/_-])([A-Za-z0-9+/_-]{32,})={0,2}(?![A-Za-z0-9+/_-])")
_HEX = re.compile(r"(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]+")
_ASKS_FOR_CODED = re.compile(
    r"base-?64|\bhex|\b(?:en|de)cod|\bhash|\bsha-?\d|\bmd5|\bchecksum|\btokens?\b|\bkeys?\b|\bcrypt"
    r"|encrypt|\bcipher|\buuid|\brandom\b",
    re.IGNORECASE,
)
# Domains that RFC 2606 sets aside for examples belong to nobody.
_EXAMPLE = re.compile(
    r"(?:^|[@./])example\.(?:com|org|net)\b|\.(?:example|test|invalid)(?:[/:?#]|$)"
)


def check_leakage(proposal: Proposal) -> Verdict:
    """Refuse secrets, URLs and e-mail addresses that the original sample doesn't hold.

    Coded text passes where the original's prompt is about such a thing.
    """
    parent = proposal.parent
    known = "\n".join(message.content for message in parent.messages)
    text = f"{proposal.prompt}\n{proposal.answer}"
    secrets = [
        name
        for name, secret in _SECRETS.items()
        if any(match[0] not in known for match in secret.findall(text))
    ]
    if not _ASKS_FOR_CODED.search(parent.prompt) and any(
        match[0] not in known and _is_coded(match[1])
        for match in _LONG.finditer(_without_addresses(text))
    ):
        secrets.append("coded text")
    held = {_bare(address) for address in addresses(known)}
    foreign = [
        address
        for address in addresses(text)
        if _bare(address) not in held and not _EXAMPLE.search(_bare(address))
    ]
    reasons = []
    if secrets:
        reasons.append("Leave out what looks like a secret.")
    if foreign:
        reasons.append("Leave out web and e-mail addresses that the original doesn't give.")
    numbers = {"secrets": secrets, "addresses": len(foreign)}
    return Verdict("leakage", not reasons, numbers, " ".join(reasons))


def _is_coded(word: str) -> bool:
    """Return whether a word is what base64 or hex makes of some 16 or 30 bytes.

    Other words and paths have no such mixture of digits, small and capital letters.
    """
    if _HEX.fullmatch(word):
        return True
    kinds = (str.isdigit, str.islower, str.isupper)
    return len(word) >= 40 and all(sum(map(kind, word)) >= 2 for kind in kinds)


def _without_addresses(text: str) -> str:
    for address in addresses(text):
        text = text.replace(address, " ")
    return text


def _bare(address: str) -> str:
    return re.sub(r"^(?:https?://)?(?:www\.)?", "", address.casefold()).rstrip("/")
