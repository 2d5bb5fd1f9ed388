"""The HTTP shell: gunicorn worker, Falcon application, middleware, and a resource per S3 operation.

Modules are imported by name: loading gunicorn is the server's business, and resources need neither it nor Falcon's app.
"""
