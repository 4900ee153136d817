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

CARGO_BUILD_FLAGS += "--package vocar-daemon --bins"

SYSTEMD_SERVICE:${PN} = "vocard.service"

USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system vocar; --system vocar-transcripts"
USERADD_PARAM:${PN} = "--system --gid vocar --groups audio --home-dir ${localstatedir}/lib/vocar --no-create-home --shell /sbin/nologin vocar"

do_install() {
    for program in vocar vocard; do
        install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/$program ${D}${bindir}/$program
    done
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

PACKAGES =+ "${PN}-cli"

SUMMARY:${PN}-cli = "Command line of the Vocar voice assistant"
FILES:${PN}-cli = "${bindir}/vocar"
FILES:${PN} += "${datadir}/dbus-1 ${nonarch_libdir}/tmpfiles.d ${systemd_user_unitdir}"
CONFFILES:${PN} = "${sysconfdir}/vocar/vocar.toml"
RDEPENDS:${PN} = "dbus"
# Without a model the service runs and understands text; without SpeexDSP it cannot take music out of a microphone.
RRECOMMENDS:${PN} = "vocar-models-speech-en vocar-models-nlu-en speexdsp"
