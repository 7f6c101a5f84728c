"""The language of a text, by script and stop words; None where that doesn't tell.

Light on purpose: a wrong guess would block a sound proposal, so every doubt is None and passes.
"""

import re
import unicodedata
from collections import Counter
from functools import lru_cache

from ..core.records import Proposal, Verdict
from .context import prompt_unchanged
from .hints import folded
from .literals import without_code
from .words import words

_STOPWORDS: dict[str, set[str]] = {
    code: set(listed.split())
    for code, listed in {
        "en": """the of and to a in is that it for on are with as was this be by at from or an what
            how which who you your i not have has do does can will would should when where why did
            no many some there these any other tell give me my if its their they we he she were
            been into than""",
        "de": """der die das und ist nicht ein eine einen einem einer zu den dem des mit von für auf
            im sich auch es an als wie wird bei oder aus nach wurde sind ich du sie wir was wer
            warum kann haben hat über zum zur dass diese dieser""",
        "fr": """le la les de des du l d qu un une et est que qui dans pour pas sur au aux avec par
            ce cette ces son sa ses il elle nous vous je ne en plus ou mais sont été être avoir
            comme dont quel quelle quels comment pourquoi à où""",
        "es": """el la los las un una unos y es que en de del por para con no se su sus al lo como
            más pero o fue son está qué cuál cómo quién dónde este esta estos muy también sobre
            entre ser ha me mi""",
        "pt": """o os as um uma e é que em de do da dos das por para com não se seu sua ao no na nos
            nas como mais mas ou foi são está qual quem onde este esta muito também sobre você
            eu isso pelo pela""",
        "it": """il lo gli la le un una e è che di del della dei delle dello in per con non si suo
            sua al alla da dal dalla nel nella come più ma o sono sei era qual quale chi dove
            questo questa molto anche cosa perché""",
        "nl": """de het een en is niet van in op te dat die voor met zijn aan er als bij ook om maar
            door naar over uit wat hoe wie waar waarom dit deze werd wordt hebben heeft kan je ik
            wij zij of nog geen""",
        "sv": """och att det som en ett är på för av med den till inte har de jag du om vad hur
            varför vi kan var från eller när sig men ska efter också detta denna vilka""",
        "da": """og at det som en et er på for af med den til ikke har de jeg du om hvad hvordan
            hvorfor vi kan var fra eller når sig men skal efter også dette denne hvilke""",
        "no": """og at det som en et er på for av med den til ikke har de jeg du om hva hvordan
            hvorfor vi kan var fra eller når seg men skal etter også dette denne hvilke""",
        "fi": """ja on ei se että oli ovat mutta kuin joka mikä miten miksi myös hän tämä sen ne
            jos tai kun niin vain voi minä sinä mitä jotka ole olla""",
        "pl": """i w nie na się z do jest to że o jak ale za od po co czy są dla przez być tak jego
            tego który która które oraz kto gdzie dlaczego ten jako""",
        "cs": """a je se v na že to s z do o jak ale za od po co jsou pro být tak jeho který která
            které kdo kde proč ten jako nebo není by si""",
        "hu": """a az és hogy nem is egy ez van volt mint de ha meg csak el vagy már ki mi mit
            hogyan miért azt kell minden én ő lehet""",
        "ro": """și în de la nu o un este că cu pe pentru din ce care sunt mai se al a fost sau cum
            unde cine dar acest această după prin ai""",
        "tr": """ve bir bu da de için ile çok ne nasıl neden mi mı olarak daha ama gibi olan var
            kadar sonra ben sen o her en değil veya hangi""",
        "vi": """và là của có không được cho một các trong với những người để này khi đã tôi bạn
            như từ đến ở về cũng nhiều""",
        "id": """yang dan di untuk dengan ini itu dari tidak pada dalam adalah akan saya kamu anda
            apa bagaimana mengapa atau oleh ke juga karena bisa ada sebuah""",
        "sw": """na ya wa kwa ni katika za la kuwa hii huo hiyo cha vya yake wake lakini kama au
            nini jinsi gani hapa sana mimi wewe yeye""",
        "hi": """है के का की में और से को पर यह हैं नहीं एक कि ने भी था थे क्या कैसे लिए हो
            तो इस""",
        "mr": """आहे आणि च्या मध्ये हे ही हा ते या नाही एक काय कसे मी आहेत साठी पण तर होते""",
        "ne": """छ र को मा हो लाई यो पनि छन् गर्न के कसरी एक भएको तर गरेको""",
        "ru": """и в не на что с как это по но он она они из у за от так для то же был все мы вы
            я или если его ее кто где почему""",
        "uk": """і в не на що з як це по але він вона вони із у за від так для то був всі ми ви
            я або якщо його її хто де чому та є""",
        "bg": """и в не на че с как това по но той тя те от за са да се е като или ако кой къде
            защо си ще беше ми""",
        "ar": """في من على إلى أن هذا هذه التي الذي ما لا عن مع هو هي كان أو كيف لماذا هل""",
        "fa": """در از به که این را با است برای آن یک می ها چه چرا چگونه و تا هم یا""",
        "ur": """کے کی میں ہے اور سے کو کا یہ پر نہیں ایک کہ ہیں کیا کیسے لیے نے بھی""",
    }.items()
}

_SCRIPT_LANGUAGES = {
    "HANGUL": "ko", "THAI": "th", "HEBREW": "he", "GREEK": "el", "BENGALI": "bn", "GURMUKHI": "pa",
    "GUJARATI": "gu", "TAMIL": "ta", "TELUGU": "te", "KANNADA": "kn", "MALAYALAM": "ml",
    "GEORGIAN": "ka", "ARMENIAN": "hy", "KHMER": "km", "LAO": "lo", "MYANMAR": "my",
    "SINHALA": "si", "ETHIOPIC": "am", "ORIYA": "or",
}  # fmt: skip
_SCRIPT_FAMILIES = {
    "DEVANAGARI": ("hi", "mr", "ne"),
    "CYRILLIC": ("ru", "uk", "bg"),
    "ARABIC": ("ar", "fa", "ur"),
}
_LATIN = tuple(
    code for code in _STOPWORDS if not any(code in family for family in _SCRIPT_FAMILIES.values())
)

_SPEAKERS = {
    word: [code for code, listed in _STOPWORDS.items() if word in listed]
    for word in set[str]().union(*_STOPWORDS.values())
}

NAMES = {
    "english": "en", "german": "de", "french": "fr", "spanish": "es", "portuguese": "pt",
    "italian": "it", "dutch": "nl", "swedish": "sv", "danish": "da", "norwegian": "no",
    "finnish": "fi", "polish": "pl", "czech": "cs", "hungarian": "hu", "romanian": "ro",
    "turkish": "tr", "vietnamese": "vi", "indonesian": "id", "swahili": "sw", "hindi": "hi",
    "marathi": "mr", "nepali": "ne", "russian": "ru", "ukrainian": "uk", "bulgarian": "bg",
    "arabic": "ar", "persian": "fa", "farsi": "fa", "urdu": "ur", "chinese": "zh",
    "mandarin": "zh", "japanese": "ja", "korean": "ko", "thai": "th", "hebrew": "he",
    "greek": "el", "bengali": "bn", "punjabi": "pa", "gujarati": "gu", "tamil": "ta",
    "telugu": "te", "kannada": "kn", "malayalam": "ml", "georgian": "ka", "armenian": "hy",
    "khmer": "km", "lao": "lo", "burmese": "my", "sinhala": "si", "amharic": "am", "odia": "or",
    "latin": "la", "deutsch": "de", "français": "fr", "español": "es", "português": "pt",
}  # fmt: skip
"""What a prompt may call a language, to its ISO 639-1 code."""

NAMED = re.compile(rf"\b(?:{'|'.join(NAMES)})\b", re.IGNORECASE)

_NAME = re.compile(r"\w+")
_TOKEN = re.compile(r"[^\W_]+")
_ADDRESS = re.compile(r"(?<!\S)\S*?(?:://|@|www\.)\S*")

# From these on a text shows its language: letters, different stop words, their share, their lead.
_LETTERS, _HITS, _SHARE, _LEAD = 6, 2, 0.1, 1.4


@lru_cache(256)
def language_of(text: str) -> str | None:
    """Return the ISO 639-1 code of the language that most of a text is in, None where unknown."""
    prose = without_code(text)
    if "://" in prose or "@" in prose or "www." in prose:
        prose = _ADDRESS.sub(" ", prose)
    scripts = _scripts(prose)
    letters = sum(scripts.values())
    if letters < _LETTERS:
        return None
    script, count = scripts.most_common(1)[0]
    if count < 0.6 * letters:
        return None
    if script in _SCRIPT_LANGUAGES:
        return _SCRIPT_LANGUAGES[script]
    if script == "CJK":
        return "ja" if _share_of_kana(prose) > 0.05 else "zh"
    if script == "LATIN":
        return _by_stopwords(prose, _LATIN)
    return _by_stopwords(prose, _SCRIPT_FAMILIES.get(script, ()))


def names_language(text: str) -> bool:
    """Return whether a text names a language, anywhere and for whatever reason."""
    named = not NAMES.keys().isdisjoint(_NAME.findall(folded(text)))
    return named and NAMED.search(text) is not None


def check_language(proposal: Proposal) -> Verdict:
    """Hold the proposed prompt to the language of the original one; what is unknown passes."""
    if prompt_unchanged(proposal):
        return Verdict("language", True, {"unchanged": True})
    old, new = language_of(proposal.parent.prompt), language_of(proposal.prompt)
    numbers = {"old": old or "unknown", "new": new or "unknown"}
    if old is None or new is None or old == new:
        return Verdict("language", True, numbers)
    return Verdict("language", False, numbers, "Write the prompt in the original's language.")


def _scripts(text: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for sign, count in Counter(text).items():
        script = _script(sign)
        if script in ("HIRAGANA", "KATAKANA", "CJK"):
            counts["CJK"] += 3 * count  # one sign says about as much as a short word
        elif script:
            counts[script] += count
    return counts


@lru_cache(8192)
def _script(sign: str) -> str:
    return unicodedata.name(sign, "UNKNOWN").split()[0] if sign.isalpha() else ""


def _share_of_kana(text: str) -> float:
    kana = sum("\u3040" <= letter <= "\u30ff" for letter in text)
    signs = sum("\u3040" <= letter <= "\u30ff" or "\u3400" <= letter <= "\u9fff" for letter in text)
    return kana / max(signs, 1)


def _by_stopwords(text: str, languages: tuple[str, ...]) -> str | None:
    # Names are capitalised and often hold articles of other languages: `La Scala`, `de Gaulle`.
    tokens = _TOKEN.findall(text)
    small = [word for word in tokens[1:] if not word[0].isupper()]
    spoken = words(" ".join([*tokens[:1], *small]) if small else text)
    hits = Counter(dict.fromkeys(languages, 0))
    for word in spoken:
        for code in _SPEAKERS.get(word, ()):
            if code in hits:
                hits[code] += 1
    (best, most), (_, second) = [*hits.most_common(2), ("", 0), ("", 0)][:2]
    if most < _SHARE * len(spoken) or most < _LEAD * second or not best:
        return None
    # Single letters (`a`, `s`, `d`) are stop words somewhere and splinters elsewhere.
    said = _STOPWORDS[best].intersection(spoken)
    return best if len(said) > _HITS or sum(len(word) > 1 for word in said) >= _HITS else None
