"""Text: untrusted bytes made safe, secrets struck, numbers formatted."""
