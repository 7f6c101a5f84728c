"""Nothing may appear in a proposal that a rewriter can only have invented or carried in.

Secrets by the forms in which vendors issue them, URLs and e-mail addresses that neither the
original prompt, its history nor its answer holds. What was found is not repeated in the record.
"""

import re

from ..core.records import Proposal, Verdict
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
    )
}
# Domains that RFC 2606 sets aside for examples belong to nobody.
_EXAMPLE = re.compile(
    r"(?:^|[@./])example\.(?:com|org|net)\b|\.(?:example|test|invalid)(?:[/:?#]|$)"
)


def check_leakage(proposal: Proposal) -> Verdict:
    """Refuse secrets, URLs and e-mail addresses that the original sample doesn't hold."""
    known = "\n".join(message.content for message in proposal.parent.messages)
    text = f"{proposal.prompt}\n{proposal.answer}"
    secrets = [
        name
        for name, secret in _SECRETS.items()
        if any(match[0] not in known for match in secret.findall(text))
    ]
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


def _bare(address: str) -> str:
    return re.sub(r"^(?:https?://)?(?:www\.)?", "", address.casefold()).rstrip("/")
