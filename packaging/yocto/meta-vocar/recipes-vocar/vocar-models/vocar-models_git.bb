SUMMARY = "Models of the Vocar voice assistant"
DESCRIPTION = "English models of speech (acoustic network, lexicon, grapheme-to-phoneme model) and of understanding, each a \
package of its own, so that an image takes what it needs and models are updated without the service."
SECTION = "multimedia"
LICENSE = "Apache-2.0 & BSD-2-Clause"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57 \
                    file://models/speech-en/CMUDICT-LICENSE.txt;md5=9461bd113012f497ef5a0987ab6db68c"

SRC_URI = "${VOCAR_REPOSITORY};branch=${VOCAR_BRANCH}"
SRCREV = "${AUTOREV}"
PV = "0.1.0+git"

inherit allarch

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    for bundle in speech-en nlu-en; do
        install -d ${D}${datadir}/vocar/models/$bundle
        install -m 0644 ${S}/models/$bundle/* ${D}${datadir}/vocar/models/$bundle/
    done
}

PACKAGES = "${PN}-speech-en ${PN}-nlu-en"

SUMMARY:${PN}-speech-en = "English speech model of the Vocar voice assistant"
FILES:${PN}-speech-en = "${datadir}/vocar/models/speech-en"
SUMMARY:${PN}-nlu-en = "English understanding of the Vocar voice assistant beyond its templates"
FILES:${PN}-nlu-en = "${datadir}/vocar/models/nlu-en"
