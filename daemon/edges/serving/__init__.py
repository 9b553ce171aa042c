"""What is answered over our own HTTP: `http_server` (with `http_threads`, `status_page/`) and `loop_watch`.

`probing` asks it, from the command line.
"""
