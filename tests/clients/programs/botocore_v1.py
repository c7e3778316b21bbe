"""botocore on a stack where the token request fails: it falls back to IMDSv1.

botocore has no switch for that, so the token request is answered 403 inside the client, as a proxy between would do.
"""
import botocore.httpsession

import answers
import botocore_default

real_send = botocore.httpsession.URLLib3Session.send


class Forbidden:
    status_code = 403
    content = b""
    text = ""


def send(self, request):
    return Forbidden() if request.method == "PUT" else real_send(self, request)


botocore.httpsession.URLLib3Session.send = send
answers.answer(botocore_default.read)
