"""The six findings: their names, their order in every array and table, their colours in every plot."""

FINDINGS = ("Consolidation", "Pneumothorax", "Edema", "Effusion", "Pneumonia", "Cardiomegaly")

# Okabe and Ito's palette: told apart by colour-blind readers and in print.
COLOURS = {
    "Consolidation": "#E69F00",
    "Pneumothorax": "#56B4E9",
    "Edema": "#009E73",
    "Effusion": "#0072B2",
    "Pneumonia": "#D55E00",
    "Cardiomegaly": "#CC79A7",
}
