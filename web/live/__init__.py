"""The live half of the web: one hub per process reads the exchanges' streams and fans bars out to WebSockets.

    Redis stream -> hub -> board (one per market and interval) -> client (one per WebSocket) -> browser

A board holds the running bar exactly; a client holds what its socket has not taken yet, newest state of each bar.
"""
