"""What a note of `core.request` is about, in a closed set of words that a label may show."""

AUTO, OTHER = "auto", "other"
_GRADES = frozenset({"effort", "budget"})
_SWITCHES = frozenset({"on", "off", "hide"})
_AUTO_WORDS = frozenset({"adaptive", "auto"})
_DROPPED = " dropped"

ASPECTS = (*sorted(_GRADES | _SWITCHES), AUTO, OTHER)
"""`other`: a key that is none of the wishes, such as `logprobs` or `thinking.keep`."""
CHANGES = ("changed", "dropped")


def parts(note: str) -> tuple[str, str]:
    """The aspect and the change of a note such as `effort=xhigh->high` or `thinking.keep dropped`."""
    dropped = note.endswith(_DROPPED)
    subject = note.removesuffix(_DROPPED) if dropped else note.partition("->")[0]
    name, graded, _ = subject.partition("=")
    change = CHANGES[dropped]
    if graded:
        return (name if name in _GRADES else OTHER), change
    if subject in _AUTO_WORDS and not dropped:
        return AUTO, change
    return (subject if subject in _SWITCHES else OTHER), change
