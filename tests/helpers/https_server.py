#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TLS server that misbehaves on request, for the tests of http.c and pve.c.

Usage: https_server.py DIRECTORY   (with server.pem and server.key in it)

Writes DIRECTORY/ports ("TLS WRONGNAME PLAIN HANGING") once it listens, and one line per request to
DIRECTORY/log: "start|end NUMBER CONNECTION REQUEST_ON_CONNECTION METHOD PATH"; the end is noted before
an answer goes out, so that what the client does next comes behind it. Loopback only; ends when its
stdin does. What it does is in the path, below /api2/json: see Answers.
"""
import json
import os
import socket
import ssl
import sys
import threading
import time

LIMIT_S = 60  # no thread waits longer for anything
log_lock = threading.Lock()
counter = {'request': 0, 'connection': 0}


class Cut(Exception):
    """The connection is to be closed without another word."""


class Answers:
    """One method per first path component; `rest` is what follows it."""

    def __init__(self, conn, ends):
        self.conn, self.ends = conn, ends

    def send(self, status, reason, body=b'', close=False):
        head = (f'HTTP/1.1 {status} {reason}\r\nContent-Length: {len(body)}\r\n'
                'Content-Type: application/json;charset=UTF-8\r\n'
                f'Connection: {"close" if close else "Keep-Alive"}\r\n\r\n')
        self.ends()
        self.conn.sendall(head.encode() + body)
        if close:
            raise Cut

    def ok(self, request, rest):
        self.send(200, 'OK', b'{"data":"fine"}')

    def echo(self, request, rest):
        self.send(200, 'OK', json.dumps({'data': request}).encode())

    def unauthorized(self, request, rest):
        self.send(401, 'Authentication failed!', close=True)

    def mismatch(self, request, rest):
        text = 'checksum mismatch (file change by other user?)'
        self.send(500, text, json.dumps({'data': None, 'message': text + '\n'}).encode(), close=True)

    def noreason(self, request, rest):
        self.conn.sendall(b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503\r\nContent-Length: 0\r\n\r\n')

    def longreason(self, request, rest):
        self.send(500, 'x' * 5000 + '\t\x7f', close=True)

    def huge(self, request, rest):
        parts = int(rest) // 65536 + 1
        # With a length: newer curls take an end without TLS's goodbye for a cut otherwise.
        self.conn.sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n'
                          % (parts * 65536))
        for _ in range(parts):
            self.conn.sendall(b'x' * 65536)
        raise Cut

    def slow(self, request, rest):
        self.conn.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n')
        for _ in range(1000):
            self.conn.sendall(b'x')
            time.sleep(0.1)

    def wait(self, request, rest):
        time.sleep(int(rest) / 1000)
        self.ok(request, rest)

    def hold(self, request, rest):
        """Until the file DIRECTORY/rest is there."""
        end = time.monotonic() + LIMIT_S
        while not os.path.exists(f'{sys.argv[1]}/{rest}') and time.monotonic() < end:
            time.sleep(0.01)
        self.ok(request, rest)

    def cut(self, request, rest):
        """before: no byte of an answer; headers: half of them; body: half of it"""
        if rest == 'headers':
            self.conn.sendall(b'HTTP/1.1 200 OK\r\nContent-Le')
        elif rest == 'body':
            self.conn.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
        raise Cut

    def cutreused(self, request, rest):
        """Fine as the first request of a connection, else cut without an answer."""
        if request['on_connection'] > 1:
            raise Cut
        self.ok(request, rest)

    def redirect(self, request, rest):
        self.conn.sendall(b'HTTP/1.1 302 Found\r\nLocation: /api2/json/ok\r\nContent-Length: 0\r\n\r\n')

    def garbage(self, request, rest):
        self.conn.sendall(b'SMTP ready\r\n' * 10)
        raise Cut


def read_request(stream):
    line = stream.readline(65536).decode('latin-1').split()
    if len(line) != 3:
        raise Cut
    headers = {}
    while (text := stream.readline(65536).decode('latin-1').strip()) != '':
        key, value = text.split(':', 1)
        headers[key.lower()] = value.strip()
    body = stream.read(int(headers.get('content-length', 0)))
    return {'method': line[0], 'path': line[1], 'headers': headers, 'body': body.decode('latin-1')}


def serve(conn, log):
    def note(what, number, request):
        with log_lock:
            log.write(f'{what} {number} {connection} {request["on_connection"]} '
                      f'{request["method"]} {request["path"]}\n')
            log.flush()

    with log_lock:
        counter['connection'] += 1
        connection = counter['connection']
    stream = conn.makefile('rb')
    on_connection = 0
    while True:
        request = read_request(stream)
        on_connection += 1
        request['on_connection'] = on_connection
        with log_lock:
            counter['request'] += 1
            number = counter['request']
        note('start', number, request)
        name, _, rest = request['path'].split('?')[0].removeprefix('/api2/json/').partition('/')
        ended = []

        def ends():
            if not ended:
                ended.append(True)
                note('end', number, request)
        try:
            getattr(Answers(conn, ends), name)(request, rest)
        finally:
            ends()


def handle(raw, context, log):
    raw.settimeout(LIMIT_S)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as pveproxy; else 40 ms per answer
    conn = raw
    try:
        conn = context.wrap_socket(raw, server_side=True)
        serve(conn, log)
    except (Cut, OSError, ValueError):
        pass
    try:
        conn.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    conn.close()


def plain(raw):
    raw.settimeout(LIMIT_S)
    try:
        raw.recv(4096)
        raw.sendall(b'HTTP/1.1 400 no TLS here\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
    except OSError:
        pass
    raw.close()


hanging = []


def listen(address, handler):
    listener = socket.create_server((address, 0), backlog=256)

    def loop():
        while True:
            raw, _ = listener.accept()
            threading.Thread(target=handler, args=(raw,), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()
    return listener.getsockname()[1]


def main():
    directory = sys.argv[1]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f'{directory}/server.pem', f'{directory}/server.key')
    with open(f'{directory}/log', 'a', encoding='ascii') as log:
        ports = [listen('127.0.0.1', lambda raw: handle(raw, context, log)),
                 listen('127.0.0.2', lambda raw: handle(raw, context, log)),
                 listen('127.0.0.1', plain),
                 listen('127.0.0.1', hanging.append)]
        with open(f'{directory}/ports.new', 'w', encoding='ascii') as file:
            file.write(' '.join(map(str, ports)) + '\n')
        os.rename(f'{directory}/ports.new', f'{directory}/ports')
        sys.stdin.buffer.read()


if __name__ == '__main__':
    main()
