"""The wire proxy: bytes in, executions out. The only room with sockets towards applications."""
