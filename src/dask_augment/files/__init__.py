"""Files before they are read: addresses, folders of this machine, and documents that people write."""
