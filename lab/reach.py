"""Whether anything listens where a broker should be, before its client asks more.

Most clients say the same of a port where nothing listens, of a host that does not exist
and of a server that speaks something else. A plain connection tells them apart.
"""

import socket
from collections.abc import Sequence

from lab.broker import Endpoint, Unavailable

TIMEOUT = 4  # seconds


def check_reachable(ends: Sequence[Endpoint], setting: str, name: str) -> None:
    """Raises Unavailable, with the why of the last one, if none accepts a connection.

    ``setting`` is the one that lists them, ``name`` the broker's name for the lab.
    """
    for end in ends:
        try:
            with socket.create_connection(end, TIMEOUT):
                return
        except socket.gaierror:
            why = f"the host name {end.host} is unknown. Mend {setting} in .env."
            refused = False
        except ConnectionRefusedError:
            where = ", ".join(map(str, ends))
            why = f"nothing listens on {where}. Start it: python -m lab up {name}"
            refused = True
        except OSError as error:
            why = f"{end} cannot be reached: {error.strerror or 'it does not answer'}."
            refused = False
    raise Unavailable(why, refused=refused)
