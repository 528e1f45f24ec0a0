"""What a TLS connection to a provider trusts."""

import functools
import ssl

from proxy.settings.model import Provider


def tls_of(provider: Provider) -> ssl.SSLContext:
    """The context for a provider. Takes tens of milliseconds the first time; raises OSError where `tls.ca` is none."""
    if provider.tls_verify and provider.tls_ca is not None:
        return ssl.create_default_context(cafile=str(provider.tls_ca))
    return _default(verify=provider.tls_verify)


@functools.cache
def _default(*, verify: bool) -> ssl.SSLContext:
    # Reading the system's certificates takes tens of milliseconds, and every provider uses the same. The library
    # knows where they are; importing it takes as long, which those need not wait for who have no use for it.
    from httpx2 import create_ssl_context  # noqa: PLC0415 - see above

    return create_ssl_context(verify, trust_env=False)
