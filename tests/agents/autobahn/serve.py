"""The fuzzing server of the Autobahn test suite, on a free port of the loopback, which it prints.
`wstest` would want a port that is given, and listen on every address. Python 2.7.

usage: serve.py SPECIFICATION
"""

import json
import sys

from autobahntestsuite.fuzzing import FuzzingServerFactory
from twisted.internet import reactor

with open(sys.argv[1]) as specification:
    factory = FuzzingServerFactory(json.load(specification))
port = reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port
# Requests have to name it in Host.
factory.port = factory.externalPort = port
print "listening on port %d" % port
sys.stdout.flush()
reactor.run()
