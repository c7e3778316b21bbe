"""What a node pulls: the image as a release pushes it, with zstd (docs/adr/0003)."""
import subprocess

ZSTD_LEVEL = 19


def size(image, folder):
    """Bytes that a node pulls: what a real tool makes of a docker-archive for a registry. The folder is for its files."""
    buildah = ["buildah", "--root", folder / "storage", "--runroot", folder / "run", "--storage-driver", "vfs"]
    subprocess.run([*buildah, "pull", "--quiet", f"docker-archive:{image}"], check=True, capture_output=True)
    compressed = ["--compression-format", "zstd", "--compression-level", str(ZSTD_LEVEL)]
    subprocess.run([*buildah, "push", "--quiet", *compressed, "localhost/imds-emulator:dev", f"oci:{folder / 'pushed'}"], check=True, capture_output=True)
    return sum(blob.stat().st_size for blob in (folder / "pushed" / "blobs" / "sha256").iterdir())
