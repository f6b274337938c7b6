"""Password hashing with argon2id, off the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# A hash takes 64 MiB while it is made, so a crowd of sign-ins waits in line instead of filling the memory.
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
_hasher = PasswordHasher()


async def hash_password(password: str) -> str:
    """The argon2id hash in PHC format."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def password_matches(hashed: str | None, password: str) -> bool:
    """Whether the password is the one. With `None` (no such account) it works just as long and says no."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _verify, hashed, password)


def _verify(hashed: str | None, password: str) -> bool:
    try:
        _hasher.verify(hashed or _nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return hashed is not None


@cache
def _nobody() -> str:
    return _hasher.hash("nobody has this password")
