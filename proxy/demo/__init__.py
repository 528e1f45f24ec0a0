"""Recordings, the upstream that replays them, and the embedded demo table.

A folder of recordings holds, for the model NAME:

- `NAME.sse`: a streamed body, byte for byte as a provider sent it, or `NAME.json`: a whole one. Where both are there,
  a request with `"stream": true` gets the first and any other request the second; where one is there, it is served to
  both, with its own content type.
- `NAME.timing` (optional): how the events of `NAME.sse` are paced. Plain text: milliseconds to wait before each
  event, in order, separated by white space; `25x40` means forty times 25; `#` starts a comment that ends with its
  line. A comment of the stream counts as an event, and so does `[DONE]`. Events beyond the last number wait as long as
  it says. 0 joins an event to the one before, as when both arrive in one read. In front of a `NAME.json` the first
  number is the wait before the body. Without this file: 300 ms before the first event, 20 ms before each further one.
- `NAME.meta.json` (optional): `{"http_status": 429}` gives the status of the answer; other keys are ignored.

Other files are ignored. `proxy/demo/streams` holds the project's own three.
"""
