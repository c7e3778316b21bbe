"""An S3 that holds one object and takes any signature, but wants one. It remembers whose key was in it, for clients that print none."""
import http.server
import re
import threading

ETAG = '"5d41402abc4b2a76b9719d911017c592"'
BUCKETS = """<?xml version="1.0" encoding="UTF-8"?>
<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>1</ID><DisplayName>one</DisplayName></Owner>
<Buckets><Bucket><Name>bucket</Name><CreationDate>2020-01-01T00:00:00.000Z</CreationDate></Bucket></Buckets>
</ListAllMyBucketsResult>"""
OBJECTS = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix></Prefix><MaxKeys>1000</MaxKeys>
<IsTruncated>false</IsTruncated><Contents><Key>greeting</Key><LastModified>2020-01-01T00:00:00.000Z</LastModified>
<ETag>""" + ETAG + """</ETag><Size>5</Size><StorageClass>STANDARD</StorageClass></Contents>
</ListBucketResult>"""


class S3:
    def __init__(self):
        self.keys = []
        s3 = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.partition("?")[0]
                key = re.search(r"Credential=(\w+)/", self.headers.get("Authorization", ""))
                if key and self.headers.get("x-amz-security-token"):
                    s3.keys.append(key[1])
                if not key:
                    # Nothing here is for everybody.
                    return self.send_error(403)
                body = (BUCKETS if path == "/" else OBJECTS).encode()
                wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                first, last = map(int, wanted.groups()) if wanted else (0, len(body))
                self.send_response(206 if wanted else 200)
                if wanted:
                    self.send_header("Content-Range", f"bytes {first}-{min(last, len(body) - 1)}/{len(body)}")
                part = body[first : last + 1]
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(part)))
                self.send_header("ETag", ETAG)
                self.send_header("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(part)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def take(self):
        """The keys since the last time, each once."""
        keys, self.keys = self.keys, []
        return sorted(set(keys))
