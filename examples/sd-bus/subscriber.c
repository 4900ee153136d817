/*
 * An infotainment app in plain C with sd-bus: prints a line of JSON for each intent of the voice assistant.
 *
 *     make && ./subscriber            the system bus (or $DBUS_SYSTEM_BUS_ADDRESS)
 *     ./subscriber --session          the session bus
 *
 * Comes back when the assistant or the bus was away. On the vehicle's bus it needs a user in group vocar.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define NAME "org.vocar.VoiceAssistant1"
#define OBJECT "/org/vocar/VoiceAssistant1"

static void print_string(const char *text) {
    putchar('"');
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\')
            printf("\\%c", *at);
        else if (*at < ' ')
            printf("\\u%04x", *at);
        else
            putchar(*at);
    }
    putchar('"');
}

/* The shortest text that reads as the same number, and shows that it is no whole one by type. */
static void print_number(double number) {
    char text[32];
    int digits = 1;
    do
        snprintf(text, sizeof text, "%.*g", digits, number);
    while (digits++ < 17 && strtod(text, NULL) != number);
    fputs(text, stdout);
    if (!strpbrk(text, ".en"))
        fputs(".0", stdout);
}

/* The basic value that comes next, of type `type`. */
static int print_basic(sd_bus_message *message, char type) {
    union {
        const char *text;
        double number;
        int flag;
        uint8_t byte;
        int16_t int16;
        uint16_t uint16;
        int32_t int32;
        uint32_t uint32;
        int64_t int64;
        uint64_t uint64;
    } value;
    int result = sd_bus_message_read_basic(message, type, &value);
    if (result < 0)
        return result;
    switch (type) {
    case 's': case 'o': case 'g': print_string(value.text); break;
    case 'd': print_number(value.number); break;
    case 'b': fputs(value.flag ? "true" : "false", stdout); break;
    case 'y': printf("%" PRIu8, value.byte); break;
    case 'n': printf("%" PRId16, value.int16); break;
    case 'q': printf("%" PRIu16, value.uint16); break;
    case 'i': printf("%" PRId32, value.int32); break;
    case 'u': printf("%" PRIu32, value.uint32); break;
    case 'x': printf("%" PRId64, value.int64); break;
    case 't': printf("%" PRIu64, value.uint64); break;
    default: return -EBADMSG;
    }
    return 0;
}

/* The value that comes next, whatever it is: variants as what they hold, dictionaries as objects, the rest as arrays. */
static int print_value(sd_bus_message *message) {
    char type;
    const char *contents;
    int result = sd_bus_message_peek_type(message, &type, &contents);
    if (result <= 0)
        return result < 0 ? result : -EBADMSG;
    if (strchr("sogdbynqiuxt", type))
        return print_basic(message, type);
    if ((result = sd_bus_message_enter_container(message, type, contents)) < 0)
        return result;
    bool dictionary = type == 'a' && contents[0] == '{';
    bool entry = type == 'e', wrapped = type == 'v';
    if (!entry && !wrapped)
        putchar(dictionary ? '{' : '[');
    for (int count = 0; sd_bus_message_at_end(message, false) == 0; count++) {
        if (count)
            putchar(entry ? ':' : ',');
        if ((result = print_value(message)) < 0)
            return result;
    }
    if (!entry && !wrapped)
        putchar(dictionary ? '}' : ']');
    return sd_bus_message_exit_container(message);
}

static int on_intent(sd_bus_message *message, void *data, sd_bus_error *error) {
    static const char *const names[] = {"session", "zone", "domain", "name", "slots", "details"};
    (void)data;
    (void)error;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        printf("%s\"%s\":", i ? "," : "{", names[i]);
        int result = print_value(message);
        if (result < 0) {
            fprintf(stderr, "an intent cannot be read: %s\n", strerror(-result));
            break;
        }
    }
    puts("}");
    fflush(stdout);
    return 0;
}

/* Listens until the bus goes away; the error that tells. */
static int serve(bool session) {
    sd_bus *bus = NULL;
    int result = session ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
    if (result >= 0)
        result = sd_bus_match_signal(bus, NULL, NAME, OBJECT, NAME, "IntentRecognized", on_intent, NULL);
    if (result >= 0)
        fputs("listening\n", stderr);
    while (result >= 0) {
        result = sd_bus_process(bus, NULL);
        if (result == 0)
            result = sd_bus_wait(bus, UINT64_MAX);
        if (result == -EINTR)
            result = 0;
    }
    sd_bus_close_unref(bus);
    return result;
}

int main(int count, char **arguments) {
    bool session = count > 1 && strcmp(arguments[1], "--session") == 0;
    for (;;) {
        int result = serve(session);
        fprintf(stderr, "the bus is away: %s\n", strerror(-result));
        usleep(500000);
    }
}
