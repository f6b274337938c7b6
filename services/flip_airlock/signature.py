"""SSH signatures, made and checked by ssh-keygen, so that a person can do the same by hand.

Format and namespaces: https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig
"""

import subprocess
import tempfile
from pathlib import Path

from flip_airlock import AirlockError

BUNDLE = "flip-airlock"
INVENTORY = "flip-airlock-inventory"
RECEIPT = "flip-airlock-receipt"
MAX_BYTES = 16 << 10
ENDING = ".sig"


def _run(*arguments: str, feed: bytes | None = None) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(["ssh-keygen", *arguments], input=feed, capture_output=True, check=False)  # noqa: S607 - by PATH
    except FileNotFoundError:
        raise AirlockError("ssh-keygen is missing: install the package openssh-client") from None


def sign(file: Path, key: Path, namespace: str) -> Path:
    """Signs a file; returns the signature's path. A passphrase is asked for, or an agent does it.

    Raises:
        AirlockError: ssh-keygen would not; the text is what it said.
    """
    signature = file.with_name(file.name + ENDING)
    signature.unlink(missing_ok=True)
    done = _run("-Y", "sign", "-n", namespace, "-f", str(key), str(file))
    if done.returncode:
        raise AirlockError(
            f"{file} is written, but cannot be signed with {key}: {_said(done)}. When that is mended, sign it: "
            f"ssh-keygen -Y sign -n {namespace} -f {key} {file}"
        )
    return signature


def make_key(path: Path, comment: str) -> None:
    """Makes a key pair without a passphrase: FILE (0600) and FILE.pub."""
    done = _run("-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))
    if done.returncode:
        raise AirlockError(f"{path} cannot be made: {_said(done)}")


def verify(content: bytes, signature: bytes, namespace: str, signers: Path, revoked: Path | None) -> str:
    """Who signed a content.

    Args:
        content: what was signed.
        signature: its signature, as ssh-keygen wrote it.
        namespace: what it was signed as.
        signers: whom to trust, an allowed signers file.
        revoked: keys no longer trusted: a key revocation list, or public keys, one a line. None where there are none.

    Raises:
        AirlockError: not signed by a key of the file, by a revoked one, for something else, or the content was changed.
    """
    for trusted in (signers, revoked):
        if trusted is not None and not trusted.is_file():
            raise AirlockError(
                f"{trusted} is not there, so it cannot be known whose signature to trust: put it there, or, to check "
                "alone, name another with --signers"
            )
    if len(signature) > MAX_BYTES:
        raise AirlockError(f"the signature has {len(signature)} bytes; no more than {MAX_BYTES} are read")
    with tempfile.NamedTemporaryFile(prefix="flip-airlock-") as file:
        file.write(signature)
        file.flush()
        found = _run("-Y", "find-principals", "-s", file.name, "-f", str(signers), feed=content)
        if found.returncode:
            raise AirlockError(f"the signature is of no key in {signers}: {_said(found)}")
        principal = found.stdout.decode().splitlines()[0].split(",")[0]
        command = ("-Y", "verify", "-n", namespace, "-f", str(signers), "-I", principal, "-s", file.name)
        done = _run(*command, *(["-r", str(revoked)] if revoked else []), feed=content)
        if done.returncode and revoked and not _run(*command, feed=content).returncode:
            raise AirlockError(f"the key of {principal} is revoked by {revoked}, or that file is no list of keys")
    if done.returncode:
        raise AirlockError(f"the signature of {principal} does not hold: {_said(done)}")
    return principal


def _said(done: "subprocess.CompletedProcess[bytes]") -> str:
    return (done.stderr or done.stdout).decode(errors="replace").strip() or f"ssh-keygen ended with {done.returncode}"
