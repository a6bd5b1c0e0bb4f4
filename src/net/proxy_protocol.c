#include "net/proxy_protocol.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/macros.h"
#include "base/slice.h"

/* -- version 1: a line of text
 * ---------------------------------------------------------------------------- */

#define V1_MAX 107u
static const char v1_start[] = "PROXY ";

static bool is_port(struct slice text)
{
    int64_t port;
    bool has_zero = text.len > 1 && text.data[0] == '0';
    return !has_zero && slice_to_i64(text, &port) && text.data[0] != '-' && port <= UINT16_MAX;
}

/* "192.0.2.1 198.51.100.1 56324 443" of one family. */
static bool parse_v1_addresses(struct slice rest, bool is_v4, struct address *ret_source)
{
    struct slice parts[4], extra;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!slice_split(&rest, ' ', &parts[i]))
            return false;
    }
    struct address destination;
    bool has_colon = slice_find(parts[0], ':') != SIZE_MAX;
    bool to_has_colon = slice_find(parts[1], ':') != SIZE_MAX;
    return !slice_split(&rest, ' ', &extra) && has_colon != is_v4 && to_has_colon != is_v4 &&
           address_parse(parts[0], ret_source) && address_parse(parts[1], &destination) &&
           is_port(parts[2]) && is_port(parts[3]);
}

static enum net__proxy_found parse_v1(struct slice text, size_t *ret_len, struct net__proxy *ret)
{
    size_t end = slice_find(slice_head(text, V1_MAX), '\n');
    if (end == SIZE_MAX)
        return text.len >= V1_MAX ? NET__PROXY_BAD : NET__PROXY_MORE;
    if (text.data[end - 1] != '\r')
        return NET__PROXY_BAD;
    struct slice line = slice_head(text, end - 1);
    struct slice rest = slice_from(line, sizeof(v1_start) - 1);
    struct net__proxy found = { 0 };
    if (slice_eq(rest, SLICE("UNKNOWN")) || slice_starts(rest, SLICE("UNKNOWN "))) {
        found.is_local = true; /* what follows has to be ignored */
    } else if (slice_starts(rest, SLICE("TCP4 ")) || slice_starts(rest, SLICE("TCP6 "))) {
        found.has_source = true;
        if (!parse_v1_addresses(slice_from(rest, 5), rest.data[3] == '4', &found.source))
            return NET__PROXY_BAD;
    } else {
        return NET__PROXY_BAD;
    }
    *ret = found;
    *ret_len = end + 1;
    return NET__PROXY_WHOLE;
}

/* -- version 2: binary
 * ------------------------------------------------------------------------------------ */

enum {
    V2_HEAD = 16,
    V2_SIGNATURE = 12,
    V2_VERSION = 2,
    COMMAND_LOCAL = 0,
    COMMAND_PROXY = 1,
    FAMILY_UNSPEC = 0,
    FAMILY_INET = 1,
    FAMILY_INET6 = 2,
    FAMILY_UNIX = 3,
    TRANSPORT_UNSPEC = 0,
    TRANSPORT_STREAM = 1,
    TLV_HEAD = 3,
    TLV_CRC32C = 0x03,
    TLV_SSL = 0x20,
    SSL_HEAD = 5,
    SSL_CLIENT = 0x01,
};

static const uint8_t v2_signature[V2_SIGNATURE] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                                    0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };

static uint32_t crc32c_add(uint32_t crc, const uint8_t *data, size_t len)
{
    const uint32_t polynomial = 0x82f63b78;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (polynomial & (0u - (crc & 1)));
    }
    return crc;
}

/* Over the whole header, with the four bytes of the checksum itself as zeros. */
static bool checksum_holds(const uint8_t *data, size_t len, size_t at)
{
    static const uint8_t zeros[4] = { 0 };
    uint32_t crc = crc32c_add(UINT32_MAX, data, at);
    crc = crc32c_add(crc, zeros, sizeof(zeros));
    crc = ~crc32c_add(crc, data + at + 4, len - at - 4);
    const uint8_t *p = data + at;
    return crc == ((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

static bool parse_tlvs(const uint8_t *data, size_t len, size_t at, struct net__proxy *found)
{
    while (at < len) {
        if (len - at < TLV_HEAD)
            return false;
        uint8_t type = data[at];
        size_t value_len = (size_t)data[at + 1] << 8 | data[at + 2];
        at += TLV_HEAD;
        if (len - at < value_len)
            return false;
        if (type == TLV_CRC32C && (value_len != 4 || !checksum_holds(data, len, at)))
            return false;
        if (type == TLV_SSL) {
            if (value_len < SSL_HEAD)
                return false;
            found->is_secure = data[at] & SSL_CLIENT;
        }
        at += value_len;
    }
    return true;
}

static void take_source(uint8_t family, const uint8_t *block, struct net__proxy *found)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    if (family == FAMILY_INET) {
        memcpy(&v4.sin_addr, block, sizeof(v4.sin_addr));
        found->has_source = address_from((const struct sockaddr *)&v4, &found->source);
    } else if (family == FAMILY_INET6) {
        memcpy(&v6.sin6_addr, block, sizeof(v6.sin6_addr));
        found->has_source = address_from((const struct sockaddr *)&v6, &found->source);
    }
}

static enum net__proxy_found parse_v2(const uint8_t *data, size_t len, size_t *ret_len,
                                      struct net__proxy *ret)
{
    static const size_t block_lens[] = {
        [FAMILY_UNSPEC] = 0, [FAMILY_INET] = 12, [FAMILY_INET6] = 36, [FAMILY_UNIX] = 216
    };
    struct net__proxy found = { 0 };
    if (len < V2_HEAD)
        return NET__PROXY_MORE;
    uint8_t command = data[12] & 0x0f, family = data[13] >> 4, transport = data[13] & 0x0f;
    size_t whole = V2_HEAD + ((size_t)data[14] << 8 | data[15]);
    if (data[12] >> 4 != V2_VERSION || command > COMMAND_PROXY || whole > NET__PROXY_MAX)
        return NET__PROXY_BAD;
    if (len < whole)
        return NET__PROXY_MORE;
    if (command == COMMAND_LOCAL || (family == FAMILY_UNSPEC && transport == TRANSPORT_UNSPEC)) {
        found.is_local = true; /* what follows has to be ignored */
    } else {
        if (family == FAMILY_UNSPEC || family >= ARRAY_LEN(block_lens) ||
            transport != TRANSPORT_STREAM || whole < V2_HEAD + block_lens[family])
            return NET__PROXY_BAD;
        take_source(family, data + V2_HEAD, &found);
        if (!parse_tlvs(data, whole, V2_HEAD + block_lens[family], &found))
            return NET__PROXY_BAD;
    }
    *ret = found;
    *ret_len = whole;
    return NET__PROXY_WHOLE;
}

enum net__proxy_found net__proxy_parse(const uint8_t *data, size_t len, size_t *ret_len,
                                       struct net__proxy *ret)
{
    if (memcmp(data, v2_signature, MIN(len, sizeof(v2_signature))) == 0)
        return len < sizeof(v2_signature) ? NET__PROXY_MORE : parse_v2(data, len, ret_len, ret);
    if (memcmp(data, v1_start, MIN(len, sizeof(v1_start) - 1)) != 0)
        return NET__PROXY_BAD;
    if (len < sizeof(v1_start) - 1)
        return NET__PROXY_MORE;
    return parse_v1(slice_of((const char *)data, len), ret_len, ret);
}
