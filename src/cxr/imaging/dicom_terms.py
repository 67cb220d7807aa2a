"""Terms of DICOM headers: which modalities and body parts are known to be no chest film. Nothing else is refused."""

import re

FILM_MODALITIES = frozenset("CR DX DR RG XR SC OT".split())  # projection radiographs, scanned film, captures, other
# All other defined terms of Modality, PS3.3 C.7.3.1.1.1, retired ones too.
OTHER_MODALITIES = frozenset(
    "ANN AR ASMT AU BDUS BI BMD CD CF CFM CP CS CT CTPROTOCOL DD DF DG DM DMS DOC DS EC ECG EEG EMG EOG EPS ES FA "
    "FID FS GM HC HD IO IOL IVOCT IVUS KER KO LEN LP LS M3D MA MG MR MS NM OAM OCT OP OPM OPR OPT OPTBSV OPTENF OPV "
    "OSS OT3D PA PLAN POS PR PT PX REG RESP RF RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV "
    "SEG SM SMR SR SRF ST STAIN TEXTUREMAP TG US VA VF VIDD XA XAPROTOCOL XC".split()
)
# What of the kind is in SOPClassUID's keyword, where a file states no Modality.
OTHER_STORAGE = ("CT", "MR", "Ultrasound", "Mammo", "NuclearMedicine", "PositronEmission", "XRayAngio", "XRayRadioF")
CHEST = ("CHEST", "THORA", "TORAX", "LUNG", "PULMO", "CXR", "RIB")
# Body parts of PS3.16 Annex L (CID 4031) that are imaged without the lungs.
OTHER_PARTS = frozenset(
    "ABDOMEN ANKLE ARM BLADDER BREAST BUTTOCK CALCANEUS CALF CAROTID CEREBELLUM COCCYX COLON CSPINE ELBOW EXTREMITY "
    "EYE FACE FEMUR FINGER FOOT FOREARM HAND HEAD HEEL HIP HUMERUS JAW KIDNEY KNEE LEG LSPINE LUMBAR MANDIBLE "
    "MAXILLA NECK NOSE ORBIT PATELLA PELVIS PHANTOM SACRUM SHOULDER SINUS SKULL SPINE SSPINE STOMACH TESTIS THIGH "
    "THUMB TIBIA TOE TSPINE ULNA WRIST ZYGOMA".split()
)


def other_modality(modality: str, storage: str) -> str:
    """The term by which a file says that it is no projection radiograph; "" where it does not say so.

    Parameters
    ----------
    modality : str
        Modality, "" where not stated.
    storage : str
        Keyword of SOPClassUID, which speaks where Modality does not.
    """
    modality = modality.strip().upper()
    if modality:
        return f"Modality is {modality}" if modality in OTHER_MODALITIES else ""
    kind = next((kind for kind in OTHER_STORAGE if kind in storage), "")
    return f"SOPClassUID is {storage}" if kind else ""


def other_part(body_part: str) -> str:
    """The known word of BodyPartExamined that means another part than the chest; "" where there is none."""
    text = body_part.upper()
    if any(word in text for word in CHEST):
        return ""
    words = (stem for word in re.split(r"[^A-Z]+", text) for stem in (word, word.removesuffix("S")))
    return next((word for word in words if word in OTHER_PARTS), "")
