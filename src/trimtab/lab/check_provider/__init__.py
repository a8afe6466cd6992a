"""A conformance suite for whoever writes a :class:`~trimtab.providers.Provider`, in the manner of ``trio.testing``'s stream checks.

    @asynccontextmanager
    async def mine(base_url):
        async with MyClient(base_url) as client:
            yield Subject(MyProvider(client), deployment)

    await check_provider(mine)                                   # everything
    @pytest.mark.parametrize("name", CHECKS)                     # or one test a check
    async def test_conforms(name): await run_check(name, mine)

It talks to the provider over real loopback HTTP, in the dialect of the subject's deployment, and knows nothing of how it is built.
"""

from trimtab.lab.check_provider.bench import Factory, Nonconforming, Subject
from trimtab.lab.check_provider.suite import CHECKS, check_provider, run_check

__all__ = ["CHECKS", "Factory", "Nonconforming", "Subject", "check_provider", "run_check"]
