"""What it means that a server could not prove who it is: one sentence, and no way round."""

import ssl

ADVICE = "is this machine's clock right, and who stands in between?"


def disbelieved(error: BaseException | None) -> str:
    """Why the other side's certificate is not believed; empty where an error is about something else."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = error.verify_message.rstrip(".") or str(error)
            return f"its certificate is not believed ({reason}), so nothing is asked or heard there; {ADVICE}"
        error = error.__cause__ or error.__context__
    return ""
