/* What the interpreter's speed is measured with: CRC-32 bit by bit, a sieve, a sort, text to numbers and back.
 * All data lies in BUFFER (64 KiB), so that the same text runs wherever it is linked. */

typedef unsigned int u32;
typedef unsigned char u8;

__asm__(".section .text.start,\"ax\"\n.global _start\n_start: j begin\n.align 4\n.literal_position\n"
        "begin: movi a1, STACK\n movi a0, main\n callx0 a0\n mov a3, a2\n movi a2, 1\n simcall\n");

/* On the chip the result is the last byte on the serial line. */
#ifdef UART
#define TELL(value) (*(volatile u32 *)UART = (value))
#else
#define TELL(value)
#endif

static u32 crc(const u8 *bytes, u32 len) {
    u32 value = ~0u;
    while (len--) {
        value ^= *bytes++;
        for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ (0xEDB88320u & -(value & 1));
    }
    return ~value;
}

static u32 sieve(u8 *composite, u32 limit) {
    u32 count = 0;
    for (u32 i = 0; i < limit; i++) composite[i] = 0;
    for (u32 i = 2; i < limit; i++) {
        if (composite[i]) continue;
        count++;
        for (u32 j = i + i; j < limit; j += i) composite[j] = 1;
    }
    return count;
}

static void sort(u32 *values, int count) {
    for (int gap = count / 2; gap > 0; gap /= 2)
        for (int i = gap; i < count; i++) {
            u32 value = values[i];
            int j = i;
            for (; j >= gap && values[j - gap] > value; j -= gap) values[j] = values[j - gap];
            values[j] = value;
        }
}

static u32 text(char *buffer, u32 rounds) {
    u32 sum = 0;
    for (u32 round = 0; round < rounds; round++) {
        u32 left = round * 2654435761u;
        char *end = buffer;
        do { *end++ = '0' + (left & 15); left >>= 4; } while (left);
        while (end > buffer) sum = sum * 31 + (u32)*--end;
    }
    return sum;
}

int main(void) {
    u8 *bytes = (u8 *)BUFFER;
    u32 *words = (u32 *)BUFFER;
    u32 result = 0;
    for (int round = 0; round < ROUNDS; round++) {
        result += sieve(bytes, 0x8000) + crc(bytes, 0x2000);
        for (int i = 0; i < 2048; i++) words[i] = i * 2654435761u + result;
        sort(words, 2048);
        result += text((char *)bytes, 4096);
    }
    TELL(result & 0x7F);
    return result & 0x7F;
}
