SUMMARY = "Offline voice assistant for vehicles"
DESCRIPTION = "Hears a command through the car's microphones and hands the infotainment system an intent with typed \
slots over D-Bus. Needs no network; what is not a command is rejected, with a reason."
SECTION = "multimedia"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

DEPENDS = "alsa-lib"

SRC_URI = "${VOCAR_REPOSITORY};branch=${VOCAR_BRANCH}"
SRCREV = "${AUTOREV}"
PV = "0.1.0+git"

require vocar-crates.inc

inherit cargo pkgconfig systemd useradd

CARGO_BUILD_FLAGS += "--package vocar-daemon --package vocar-accel --bins"

SYSTEMD_PACKAGES = "${PN} ${PN}-kuksa"
SYSTEMD_SERVICE:${PN} = "vocard.service"
SYSTEMD_SERVICE:${PN}-kuksa = "vocar-kuksa.service"
# The bridge runs where an image or somebody on the machine enables it.
SYSTEMD_AUTO_ENABLE:${PN}-kuksa = "disable"

USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system vocar; --system vocar-transcripts"
USERADD_PARAM:${PN} = "--system --gid vocar --groups audio --home-dir ${localstatedir}/lib/vocar --no-create-home --shell /sbin/nologin vocar"

do_install() {
    for program in vocar vocard; do
        install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/$program ${D}${bindir}/$program
    done
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/vocar-accel ${D}${libexecdir}/vocar/vocar-accel
    install -D -m 0644 ${S}/systemd/vocard-accelerator.conf ${D}${docdir}/vocar-accel/examples/vocard-accelerator.conf
    install -D -m 0755 ${S}/examples/kuksa/vocar_kuksa.py ${D}${nonarch_libdir}/vocar/vocar_kuksa.py
    install -D -m 0644 ${S}/systemd/vocar-kuksa.service ${D}${systemd_system_unitdir}/vocar-kuksa.service
    install -d ${D}${mandir}/man1 ${D}${mandir}/man5 ${D}${mandir}/man8
    install -m 0644 ${S}/packaging/man/*.1 ${D}${mandir}/man1/
    install -m 0644 ${S}/packaging/man/*.5 ${D}${mandir}/man5/
    install -m 0644 ${S}/packaging/man/*.8 ${D}${mandir}/man8/
    install -D -m 0644 ${S}/systemd/vocar.toml ${D}${sysconfdir}/vocar/vocar.toml
    install -d ${D}${sysconfdir}/vocar/conf.d
    install -D -m 0644 ${S}/systemd/vocard.service ${D}${systemd_system_unitdir}/vocard.service
    install -D -m 0644 ${S}/systemd/vocard-user.service ${D}${systemd_user_unitdir}/vocard-user.service
    install -D -m 0644 ${S}/systemd/vocar.tmpfiles ${D}${nonarch_libdir}/tmpfiles.d/vocar.conf
    install -D -m 0644 ${S}/systemd/org.vocar.VoiceAssistant1.conf ${D}${datadir}/dbus-1/system.d/org.vocar.VoiceAssistant1.conf
    install -D -m 0644 ${S}/systemd/org.vocar.VoiceAssistant1.service ${D}${datadir}/dbus-1/system-services/org.vocar.VoiceAssistant1.service
    install -D -m 0644 ${S}/systemd/org.vocar.VoiceAssistant1.session.service ${D}${datadir}/dbus-1/services/org.vocar.VoiceAssistant1.service
    install -D -m 0644 ${S}/daemon/dbus/org.vocar.VoiceAssistant1.xml ${D}${datadir}/dbus-1/interfaces/org.vocar.VoiceAssistant1.xml
}

PACKAGES =+ "${PN}-cli ${PN}-accel ${PN}-kuksa"

SUMMARY:${PN}-cli = "Command line of the Vocar voice assistant"
FILES:${PN}-cli = "${bindir}/vocar"
SUMMARY:${PN}-accel = "Runs the network of the Vocar voice assistant on an accelerator"
FILES:${PN}-accel = "${libexecdir}/vocar ${docdir}/vocar-accel"
# Daemon and program speak a protocol of their own. ONNX Runtime and the vendor's libraries come from the board's layers.
RDEPENDS:${PN}-accel = "${PN} (= ${EXTENDPKGV})"
SUMMARY:${PN}-kuksa = "Tells the Vocar voice assistant the vehicle's power state from KUKSA"
FILES:${PN}-kuksa = "${nonarch_libdir}/vocar ${systemd_system_unitdir}/vocar-kuksa.service"
# Besides these the Python packages dbus-fast (in meta-python) and kuksa-client, which no layer named here has.
RDEPENDS:${PN}-kuksa = "${PN} python3-core python3-asyncio python3-logging"
FILES:${PN} += "${datadir}/dbus-1 ${nonarch_libdir}/tmpfiles.d ${systemd_user_unitdir}"
CONFFILES:${PN} = "${sysconfdir}/vocar/vocar.toml"
RDEPENDS:${PN} = "dbus"
# Without a model the service runs and understands text; without SpeexDSP it cannot take music out of a microphone.
RRECOMMENDS:${PN} = "vocar-models-speech-en vocar-models-nlu-en speexdsp"
