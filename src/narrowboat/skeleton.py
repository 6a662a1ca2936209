"""The 33 landmarks of a pose: what they are called, which side they are on, which bones join them.

Covers: constants that writers, engines and the analysis share. They are those of the BlazePose models.
Does not cover: finding them (``engines/pose``), files of them (``media/pose_file``).
"""

from __future__ import annotations

LANDMARKS = (
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
)
COUNT = len(LANDMARKS)
NUMBER = {name: number for number, name in enumerate(LANDMARKS)}

#: Pairs of landmarks (left, right) that a model can take for each other.
PAIRS = tuple((NUMBER[name], NUMBER[name.replace("left", "right")]) for name in LANDMARKS if "left" in name)

_BONES = """
left_ear left_eye_outer, left_eye_outer left_eye, left_eye left_eye_inner, left_eye_inner nose,
right_ear right_eye_outer, right_eye_outer right_eye, right_eye right_eye_inner, right_eye_inner nose,
mouth_left mouth_right, left_shoulder right_shoulder, left_hip right_hip,
left_shoulder left_elbow, left_elbow left_wrist, left_wrist left_pinky, left_wrist left_index, left_wrist left_thumb,
left_pinky left_index, left_shoulder left_hip, left_hip left_knee, left_knee left_ankle, left_ankle left_heel,
left_heel left_foot_index, left_ankle left_foot_index,
right_shoulder right_elbow, right_elbow right_wrist, right_wrist right_pinky, right_wrist right_index,
right_wrist right_thumb, right_pinky right_index, right_shoulder right_hip, right_hip right_knee,
right_knee right_ankle, right_ankle right_heel, right_heel right_foot_index, right_ankle right_foot_index
"""


def side(number: int) -> str:
    """``left``, ``right`` or ``middle`` of the body, for a landmark's number."""
    return next((word for word in ("left", "right") if word in LANDMARKS[number]), "middle")


#: (landmark, landmark, side): lines to draw. What joins both sides is of the middle.
BONES = tuple(
    (NUMBER[one], NUMBER[other], side(NUMBER[one]) if side(NUMBER[one]) == side(NUMBER[other]) else "middle")
    for one, other in (bone.split() for bone in _BONES.replace("\n", " ").split(","))
)
