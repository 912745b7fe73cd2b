"""pyftpdlib with one user: JSON in the first argument says which, where, and what is odd about it."""

import json
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer

options = json.loads(sys.argv[1])

authorizer = DummyAuthorizer()
authorizer.add_user(options["user"], options["password"], options["root"], perm="elradw")

handler = FTPHandler
if options["certificate"]:
    handler = TLS_FTPHandler
    handler.certfile = options["certificate"]
    handler.keyfile = options["key"]
handler.authorizer = authorizer
handler.passive_ports = range(options["first_port"], options["last_port"] + 1)
handler.masquerade_address = options["advertises"]

server = FTPServer(("0.0.0.0", 21), handler)
if options["sessions"]:
    # It counts the socket that it listens on, too.
    server.max_cons = options["sessions"] + 1
server.serve_forever(handle_exit=False)
