"""What a broker's management interface answers over HTTP."""

import base64
import json
from collections.abc import Mapping


def ask(
    url: str,
    *,
    timeout: float,
    method: str | None = None,
    body: object = None,
    login: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> str:
    """The text of an answer. ``body`` is sent as JSON, ``login`` is ``user:password``.

    The method is GET, with a body POST, where none is named. Raises OSError where
    nobody answers, where the answer is no HTTP, and, as its HTTPError, where the answer
    is a no; ValueError where the URL is malformed or the answer no text.
    """
    # Here, because most of the lab's commands do without: they would start later.
    import urllib.request
    from http.client import HTTPException

    sent = {"Content-Type": "application/json", **(headers or {})}
    if login is not None:
        sent["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, sent, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.read().decode()
    except OSError:
        raise
    except HTTPException as error:
        raise OSError(f"the answer is no HTTP: {error!r}") from None
