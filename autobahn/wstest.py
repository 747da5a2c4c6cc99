# The suite's own `wstest`, with three differences that a test on a shared machine needs (Python 2.7):
# its fuzzing server listens on the loopback interface instead of all of them, on a port the system
# chooses and this script prints, and it ends when the process that started it does (its standard input ends).
import os
import sys
import threading

from autobahntestsuite import wstest  # first: it chooses the reactor
from twisted.internet import reactor

listen_tcp = reactor.listenTCP


def listen_on_loopback(_port, factory, backlog=50, interface=''):
    listener = listen_tcp(0, factory, backlog, '127.0.0.1')
    factory.externalPort = listener.getHost().port  # the suite checks the port in the Host header
    print('Listening on port %d' % factory.externalPort)
    return listener


def end_with_parent():
    sys.stdin.read()
    os._exit(1)


reactor.listenTCP = listen_on_loopback
watcher = threading.Thread(target=end_with_parent)
watcher.daemon = True
watcher.start()
wstest.run()
