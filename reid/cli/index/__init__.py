"""Keeps an index of images, and searches it.

    reid index build people crops --weight outputs/x/best.pth
    reid index search people query.jpg -o hits.png
    reid index add people more_crops
    reid index remove people crops/anna
    reid index info people

`reid index ACTION --help` explains an action.
"""

HELP = "build an index of images, and search it"
ACTIONS = {
    "build": "make an index of images",
    "add": "add images to an index",
    "remove": "remove images from an index",
    "search": "search an index for images",
    "info": "say what an index holds",
}
