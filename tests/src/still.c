/* A microphone in a silent room, as hardware would be: ALSA wakes its reader once a period, by a timer.
 *
 * An ALSA I/O plugin (alsa-lib's pcm_ioplug.h) with one 16-bit channel at 16 kHz that delivers zeros.
 * cc -shared -fPIC still.c -o libasound_module_pcm_still.so -lasound
 */
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define RATE 16000

typedef struct {
    snd_pcm_ioplug_t io;
    struct timespec begin;
} still_t;

/* Frames since the start, as the clock has it; ALSA wants them within the buffer. */
static snd_pcm_sframes_t pointer(snd_pcm_ioplug_t *io) {
    still_t *still = io->private_data;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long ns = (now.tv_sec - still->begin.tv_sec) * 1000000000LL + now.tv_nsec - still->begin.tv_nsec;
    return (ns * RATE / 1000000000LL) / io->period_size * io->period_size % io->buffer_size;
}

static int start(snd_pcm_ioplug_t *io) {
    still_t *still = io->private_data;
    long long ns = io->period_size * 1000000000LL / RATE;
    struct itimerspec every = {.it_interval = {ns / 1000000000LL, ns % 1000000000LL}};
    every.it_value = every.it_interval;
    clock_gettime(CLOCK_MONOTONIC, &still->begin);
    return timerfd_settime(io->poll_fd, 0, &every, NULL) < 0 ? -errno : 0;
}

static int stop(snd_pcm_ioplug_t *io) {
    struct itimerspec never = {0};
    return timerfd_settime(io->poll_fd, 0, &never, NULL) < 0 ? -errno : 0;
}

/* The period that woke the reader is told once. */
static int revents(snd_pcm_ioplug_t *io, struct pollfd *fds, unsigned int count, unsigned short *events) {
    unsigned long long periods;
    (void)count;
    *events = fds[0].revents & ~POLLIN;
    if ((fds[0].revents & POLLIN) && read(io->poll_fd, &periods, sizeof periods) == sizeof periods)
        *events |= POLLIN;
    return 0;
}

static snd_pcm_sframes_t transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas,
                                  snd_pcm_uframes_t offset, snd_pcm_uframes_t size) {
    (void)io;
    snd_pcm_areas_silence(areas, offset, 1, size, SND_PCM_FORMAT_S16_LE);
    return size;
}

static int end(snd_pcm_ioplug_t *io) {
    close(io->poll_fd);
    free(io->private_data);
    return 0;
}

static const snd_pcm_ioplug_callback_t callback = {
    .start = start, .stop = stop, .pointer = pointer, .transfer = transfer, .poll_revents = revents, .close = end,
};

static int limit(snd_pcm_ioplug_t *io) {
    static const unsigned int access[] = {SND_PCM_ACCESS_RW_INTERLEAVED}, formats[] = {SND_PCM_FORMAT_S16_LE};
    int err = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, 1, access);
    if (err >= 0)
        err = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, 1, formats);
    if (err >= 0)
        err = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_CHANNELS, 1, 1);
    if (err >= 0)
        err = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_RATE, RATE, RATE);
    if (err >= 0)
        err = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, 160, 32000);
    if (err >= 0)
        err = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_BUFFER_BYTES, 640, 256000);
    if (err >= 0)
        err = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIODS, 2, 1024);
    return err;
}

SND_PCM_PLUGIN_DEFINE_FUNC(still) {
    still_t *still = calloc(1, sizeof *still);
    (void)root, (void)conf;
    if (!still || stream != SND_PCM_STREAM_CAPTURE)
        return free(still), -EINVAL;
    still->io.version = SND_PCM_IOPLUG_VERSION;
    still->io.name = "a silent room";
    still->io.poll_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    still->io.poll_events = POLLIN;
    still->io.callback = &callback;
    still->io.private_data = still;
    int err = snd_pcm_ioplug_create(&still->io, name, stream, mode);
    if (err >= 0 && (err = limit(&still->io)) < 0)
        snd_pcm_ioplug_delete(&still->io);
    if (err < 0)
        return err;
    *pcmp = still->io.pcm;
    return 0;
}
SND_PCM_PLUGIN_SYMBOL(still);
