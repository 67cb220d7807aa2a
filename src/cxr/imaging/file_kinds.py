"""What a file is, by how it begins: suffixes are missing, or those of another format."""

import re
import struct

HEAD = 512  # bytes of a file's beginning that tell: tar and DICOMDIR say it after some
DICOM, DICOMDIR = "DICOM", "DICOMDIR"
ONE_FILM = ("HEIC", "JPEG XL")  # of `UNREAD`: a film each, not to be passed over
PACKED = (".gz", ".bz2", ".xz")  # behind the suffix of what they hold
DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".dic", ".ima"})
IMAGE_SUFFIXES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .jif .tif .tiff .bmp .dib .gif .webp .jp2 .j2k .jpf .jpx .avif .pgm .pbm .ppm"
    " .pnm .pam".split()
)
# How they begin, as regular expressions. Film formats that OpenCV decodes; all but DICOM.
IMAGES = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "BMP": rb"BM.{4}\0\0\0\0.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "GIF": rb"GIF8[79]a",
    "WebP": rb"RIFF.{4}WEBP",
    "JPEG 2000": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "AVIF": rb"\0\0\0.ftyp(?:avi[fs]|(?:mif1|msf1).{0,40}?avi[fs])",
}
# What holds films, or may, and is not read: how it begins, its suffixes, and what to do.
UNREAD = {
    "HEIC": (rb"\0\0\0.ftyp(?:hei[cxms]|hev[cx]|mif1|msf1)", ".heic .heif", "save it as PNG or JPEG"),
    "JPEG XL": (rb"\0\0\0\x0cJXL \r\n\x87\n|\xff\x0a", ".jxl", "save it as PNG or JPEG"),
    "gzip": (rb"\x1f\x8b\x08", ".gz .tgz", "unpack it with gunzip"),
    "bzip2": (rb"BZh[1-9]1AY&SY", ".bz2", "unpack it with bunzip2"),
    "xz": (rb"\xfd7zXZ\0", ".xz", "unpack it with unxz"),
    "zip": (rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", ".zip", "unpack it"),
    "rar": (rb"Rar!\x1a\x07", ".rar", "unpack it"),
    "7z": (rb"7z\xbc\xaf\x27\x1c", ".7z", "unpack it"),
    "tar": (rb".{257}ustar", ".tar", "unpack it"),
    "PDF": (rb"%PDF-", ".pdf", "save its pictures as PNG"),
    "NIfTI": (rb"\x5c\x01\0\0|\0\0\x01\x5c|\x1c\x02\0\0|\0\0\x02\x1c", ".nii", "save its films as PNG"),
    "NRRD": (rb"NRRD000", ".nrrd", "save it as PNG"),
    "a Git LFS pointer": (rb"version https://git-lfs", "", "fetch the file itself with: git lfs pull"),
    "a web page": (
        rb"(?:\xef\xbb\xbf)?\s*<(?:!DOCTYPE|!doctype|html|HTML)",
        "",
        "download it again, signed in where that is asked",
    ),
}
VALUE_TYPES = frozenset(  # PS3.5, 6.2
    "AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
STORED_DIRECTORY = b"1.2.840.10008.1.3.10"  # media storage directory: PS3.4, annex B


def kind_of(head: bytes) -> str:
    """DICOM, DICOMDIR, a name of `IMAGES` or `UNREAD`, or "": by the first `HEAD` bytes or more of a file."""
    if looks_like_dicom(head):
        return DICOMDIR if STORED_DIRECTORY in head[:HEAD] else DICOM
    starts = IMAGES | {kind: start for kind, (start, _, _) in UNREAD.items()}
    return next((kind for kind, start in starts.items() if re.match(start, head, re.DOTALL)), "")


def looks_like_dicom(head: bytes) -> bool:
    """Whether a file is DICOM: by its mark after the preamble, or, of one without (PS3.10 wants it, archives of old
    have none), by a first element of group 0002 or 0008, in any of the ways in which it can be written.

    >>> looks_like_dicom(bytes(128) + b"DICM"), looks_like_dicom(b"\\x08\\0\\x05\\0CS\\x0a\\0ISO_IR 100")
    (True, True)
    """
    if head[128:132] == b"DICM":
        return True
    for order in "<>":
        if len(head) < 20:
            return False
        group, element = struct.unpack_from(f"{order}HH", head)
        if group not in (2, 8) or element > 0x80:
            continue
        if head[4:6].decode("latin-1") in VALUE_TYPES:
            return True
        (length,) = struct.unpack_from(f"{order}I", head, 4)  # without a type: then another such element follows
        following = struct.unpack_from(f"{order}H", head, 8 + length)[0] if length <= len(head) - 10 else None
        if length % 2 == 0 and following == group:
            return True
    return False
