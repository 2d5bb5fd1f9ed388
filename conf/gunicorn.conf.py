"""gunicorn under s4gw, knob by knob. `s4gw serve` reads this file from ./conf, or from --gunicorn-conf FILE.

The values are the built-in ones: deleting this file changes nothing. Flags (--workers, --threads) and their environment
variables win over it. SIGHUP reads it again.

Set by the gateway itself and ignored here: bind, worker_class, logger_class, control_socket, proc_name and the hooks
when_ready, pre_fork, post_fork, child_exit, on_exit. The worker does not run pre_request and post_request, nor
gunicorn's access log: the gateway writes one structured line per request.
"""

import os
from pathlib import Path

# -- processes and threads ---------------------------------------------------------------------------------------------

# One per core. Python runs one thread at a time in each process, so processes are what uses the cores; each worker is
# bound to its core while there are at least as many workers as cores (--pin-workers no turns that off).
workers = len(os.sched_getaffinity(0))

# Threads overlap waiting (a disk's fsync, a slow client), not computing. More than a few per core only fight for the
# interpreter lock: 1 KiB GET, one worker of four threads: 245 us of CPU per request on one core, 600-750 us on two.
threads = 8

# Open connections per worker, idle ones included. SDKs keep pools of 10 to 50 each.
worker_connections = 1000

# Connections that may wait to be accepted during a burst; the kernel cuts it to net.core.somaxconn.
backlog = 2048

# -- time --------------------------------------------------------------------------------------------------------------

# Seconds that an idle connection stays open. Longer than the 60 s of load balancers and SDK pools: whoever closes last
# must be the client, or it will now and then send a request into a connection that is just being closed.
keepalive = 75

# Seconds without a heartbeat of the worker's main thread until it is killed. Requests run in other threads, so a long
# upload never counts; the gateway limits silence within a request by itself (60 s).
timeout = 60

# Seconds that running requests get when a worker has to go (stop, reload).
graceful_timeout = 60

# Never restart a worker for having served many requests: it loses its caches, and it does not leak.
max_requests = 0

# -- requests ----------------------------------------------------------------------------------------------------------

# Bytes of the request line. A key of 1024 bytes is 3 KiB percent-encoded, a presigned URL with a session token 2 more.
limit_request_line = 8190

# Headers per request, and bytes of one. S3 allows 2 KiB of metadata in at most some dozens of headers.
limit_request_fields = 100
limit_request_field_size = 8190

# Let names with an underscore pass: `x-amz-meta-a_b` is legal, and SDKs sign it. Safe here, since the gateway reads the
# list of headers as sent and never the CGI-style variables in which `a-b` and `a_b` are one.
header_map = "dangerous"

# The C parser when it is installed: 32 instead of 46 us for a request with ten headers.
http_parser = "auto"

# No S3 SDK needs HTTP/2, and its streams are served one after another.
http_protocols = "h1"

# From whom X-Forwarded-Proto is believed: a TLS proxy on this machine.
forwarded_allow_ips = "127.0.0.1,::1"

# -- process model -----------------------------------------------------------------------------------------------------

# The application opens its store after the fork, and SIGHUP is to load new code.
preload_app = False

# With one listening socket a reload loses no connection; with SO_REUSEPORT each dying worker takes its queue along
# (12-15 resets in 35 k requests).
reuse_port = False

# Heartbeat files on a disk can stall behind the store's own writes.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - names there are random

# The control socket (`gunicornc -s DATA/run/gunicorn.ctl`) can stop the gateway: owner only.
control_socket_mode = 0o600

# "info" adds workers that come and go, "debug" every connection that ends badly.
loglevel = "warning"
