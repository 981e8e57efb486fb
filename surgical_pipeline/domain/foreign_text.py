"""Text that others wrote, made fit for where it goes."""


def well_formed(text: str) -> str:
    r"""``text`` as databases and tokenizers take it: ``\n`` line ends, no NUL, no unpaired surrogate (U+FFFD)."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
