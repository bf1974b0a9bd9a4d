"""TLS of the ports on which we are called: DICOM and HL7 version 2."""

import ssl
from collections.abc import Callable

from node.errors import SettingsInvalid
from node.settings import TlsTable


def tls_context(name: str, table: TlsTable | None) -> Callable[[], ssl.SSLContext | None]:
    """Return what gives the newest context of a port; None for a port without TLS.

    Parameters
    ----------
    name
        Of the table, for whoever has to mend it.

    Raises
    ------
    SettingsInvalid
        Its files cannot be used.
    """
    from node.dicom.tls import Certificates, ReloadingContext

    if table is None:
        return lambda: None
    certificates = Certificates(
        certificate=table.certificate, key=table.key, authorities=table.authorities
    )
    try:
        return ReloadingContext(certificates)
    except OSError as error:
        raise SettingsInvalid((f"{name}: {error}",)) from error
