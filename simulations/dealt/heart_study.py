"""What the four heart hospitals are asked, as FLamby asks it, and what codes mean."""

from collections.abc import Mapping

INPUTS = (
    *("age", "sex", "cp", "trestbps", "chol"),
    *("fbs", "restecg", "thalach", "exang", "oldpeak"),
)
NAMES = (*INPUTS, "slope", "ca", "thal", "num")
"""The fourteen columns of a file, which has no header itself."""

UNITS = {
    "age": "a",
    "trestbps": "mm[Hg]",
    "chol": "mg/dL",
    "thalach": "/min",
    "oldpeak": "mm",
}
LEVELS: Mapping[str, Mapping[str, str]] = {
    "sex": {"0": "female", "1": "male"},
    "cp": {
        "1": "typical angina",
        "2": "atypical angina",
        "3": "non-anginal pain",
        "4": "asymptomatic",
    },
    "fbs": {"0": "no", "1": "yes"},
    "restecg": {"0": "normal", "1": "ST-T abnormality", "2": "hypertrophy"},
    "exang": {"0": "no", "1": "yes"},
}
OUTCOME = {"0": "absent", **dict.fromkeys("1234", "present")}

STUDY = """\
# Is a coronary artery narrowed by more than half? Four hospitals, asked as FLamby asks.
#
# The records: Janosi, Steinbrunn, Pfisterer, Detrano (1988), Heart Disease, UCI Machine
# Learning Repository, CC BY 4.0. Given by A. Janosi MD, Hungarian Institute of
# Cardiology, Budapest; W. Steinbrunn MD, University Hospital Zurich; M. Pfisterer MD,
# University Hospital Basel; R. Detrano MD PhD, V.A. Medical Center Long Beach and
# Cleveland Clinic Foundation. Added by us: headers, record numbers, the split.
format = 1
privacy = "none"            # written out on purpose: sums leave exact, without noise

[study]
name = "heart-disease"
title = "Coronary artery disease from what is known before angiography"
purpose = "To compare with FLamby's Fed-Heart-Disease benchmark; not for use in care"
contact = "benchmark@consortium.example"
expires = 2030-12-31
sites = ["cleveland", "hungary", "switzerland", "va-long-beach"]

# FLamby's ten variables. It drops slope, ca and thal, which most hospitals did not
# measure, and every person with a gap in what remains: hence missing = "exclude".
# That leaves 303, 261, 46 and 130 people of 303, 294, 123 and 200.
#
# `typical` is used only if the study promises privacy: mean and deviation, rounded, of
# these files as they were published together with a fifth, which nobody pays for again.

[[variables]]
kind = "number"
name = "age"
unit = "a"
range = [18, 100]
typical = [54, 9]
missing = "exclude"

[[variables]]
kind = "category"
name = "sex"
levels = ["female", "male"]  # the first level is the reference, here and below
missing = "exclude"

[[variables]]
kind = "category"
name = "cp"                 # chest pain
levels = ["typical angina", "atypical angina", "non-anginal pain", "asymptomatic"]
missing = "exclude"

# A blood pressure or a cholesterol of 0 means "not measured": all 123 Swiss values are
# 0. FLamby keeps them as values, so both ranges begin at 0 here. A study that is not a
# benchmark begins them at 60 and 70, lists "0" under `missing` in each site.toml, and
# declares indicator = true.

[[variables]]
kind = "number"
name = "trestbps"           # blood pressure at rest, on admission
unit = "mm[Hg]"
range = [0, 260]
typical = [132, 18]
missing = "exclude"

[[variables]]
kind = "number"
name = "chol"               # serum cholesterol
unit = "mg/dL"
range = [0, 700]
typical = [200, 110]
missing = "exclude"

[[variables]]
kind = "category"
name = "fbs"                # is fasting blood sugar above 120 mg/dL?
levels = ["no", "yes"]
missing = "exclude"

[[variables]]
kind = "category"
name = "restecg"            # electrocardiogram at rest; hypertrophy: left ventricular
levels = ["normal", "ST-T abnormality", "hypertrophy"]
missing = "exclude"

[[variables]]
kind = "number"
name = "thalach"            # highest heart rate reached
unit = "/min"
range = [50, 230]
typical = [137, 25]
missing = "exclude"

[[variables]]
kind = "category"
name = "exang"              # angina on exercise
levels = ["no", "yes"]
missing = "exclude"

[[variables]]
kind = "number"
name = "oldpeak"            # ST depression on exercise; below 0 it is an elevation
unit = "mm"
range = [-4, 8]
typical = [0.9, 1.1]
missing = "exclude"

[outcome]
kind = "binary"
name = "num"                # the files grade 0 to 4; each site maps 1 to 4 to present
levels = ["absent", "present"]
positive = "present"

[model]
kind = "logistic"
ridge = 1.0                 # lambda in loss + lambda/2 |w|^2; scikit-learn's C = 1

[rounds]
quorum = 4

[evaluation]
test = "declared"           # each file says who tests: 104, 89, 16 and 45 people,
                            # dealt by FLamby's rule and seed among complete records
[disclosure]
min_people = 10
"""
