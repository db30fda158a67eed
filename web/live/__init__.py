"""The live half of the web: one hub per process reads the exchanges' streams and fans bars out to WebSockets.

    Redis stream -> following -> board (one per market and timeframe) -> client (one per WebSocket) -> browser

A board holds the running bar exactly; a client holds what its socket has not taken yet, newest state of each bar.
What stands in the way of a hole when somebody comes late is in `history`, what a client may say in `requests` and
`old_protocol`, stored bars played again in `replay` and `player`.
"""
