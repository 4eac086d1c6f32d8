/* What the chip's registers promise, seen by a program that GCC compiled: each line that it prints is a measurement. */

typedef unsigned int u32;

#define REGISTER(address) (*(volatile u32 *)(address))
#define UART(offset) REGISTER(0x60000000 + (offset))
#define GPIO(offset) REGISTER(0x60000300 + (offset))
#define FRC1(offset) REGISTER(0x60000600 + (offset))
#define WATCHDOG(offset) REGISTER(0x60000900 + (offset))
#define RTC(offset) REGISTER(0x60000700 + (offset))
#define RTC_MEMORY REGISTER(0x60001200)
#define NMI_GATE REGISTER(0x3FF00000)
#define EDGE_ENABLE REGISTER(0x3FF00004)

#define READ_SPECIAL(name) ({ u32 value_; __asm__ volatile("rsr %0, " #name : "=a"(value_)); value_; })
#define WRITE_SPECIAL(name, value) __asm__ volatile("wsr %0, " #name "\n rsync" : : "a"((u32)(value)) : "memory")

enum { GPIO_LINE = 1 << 4, UART_LINE = 1 << 5, TIMER_LINE = 1 << 6, SOFTWARE_LINE = 1 << 7, WATCHDOG_LINE = 1 << 8, FRC1_LINE = 1 << 9 };

static volatile u32 frc1_count, frc1_at[16], timer_at, software_count, gpio_count, gpio_status, nmi_count, nmi_level, warned;
static volatile u32 cause, address, received_count, line_errors;
static volatile char received[64];
/* Nobody clears it. */
static volatile u32 kept[16] __attribute__((section(".noinit,\"aw\",@nobits#")));

static void put(char c) {
    while ((UART(0x1C) >> 16 & 0xFF) >= 126) {}
    UART(0) = (u32)c;
}

/* Waits for the FIFO, and then for the character that has left it. */
static void drain(void) {
    while (UART(0x1C) >> 16 & 0xFF) {}
    u32 from = READ_SPECIAL(ccount);
    while (READ_SPECIAL(ccount) - from < 10000) {}
}

static void print(const char *text) {
    while (*text) put(*text++);
}

/* The core has no division, and this program no library. */
static void number(const char *name, u32 value) {
    static const u32 powers[] = {1000000000, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1};
    int seen = 0;
    print(name);
    put(' ');
    for (int i = 0; i < 10; i++) {
        char digit = '0';
        for (; value >= powers[i]; value -= powers[i]) digit++;
        seen |= digit != '0' || i == 9;
        if (seen) put(digit);
    }
    put('\n');
}

static void serve_uart(void) {
    u32 status = UART(0x08);
    line_errors |= status & 0x98;
    while (UART(0x1C) & 0xFF) received[received_count++ & 63] = (char)UART(0);
    UART(0x10) = status;
}

void on_exception(void) {
    u32 exccause = READ_SPECIAL(exccause);
    if (exccause != 4) {
        cause = exccause;
        address = READ_SPECIAL(excvaddr);
        /* Every instruction that the program provokes with has three bytes. */
        WRITE_SPECIAL(epc1, READ_SPECIAL(epc1) + 3);
        return;
    }
    u32 pending = READ_SPECIAL(interrupt) & READ_SPECIAL(intenable);
    WRITE_SPECIAL(intclear, pending);
    if (pending & FRC1_LINE) {
        frc1_at[frc1_count++ & 15] = READ_SPECIAL(ccount);
        FRC1(0x0C) = 0;
    }
    if (pending & TIMER_LINE) {
        timer_at = READ_SPECIAL(ccount);
        WRITE_SPECIAL(ccompare0, timer_at - 1);
    }
    if (pending & SOFTWARE_LINE) software_count++;
    if (pending & WATCHDOG_LINE) warned++;
    if (pending & GPIO_LINE) {
        gpio_count++;
        gpio_status |= GPIO(0x1C);
        GPIO(0x24) = 0xFFFF;
    }
    if (pending & UART_LINE) serve_uart();
}

void on_nmi(void) {
    NMI_GATE = (NMI_GATE & ~0x1F) | 0x0E;
    nmi_count++;
    nmi_level = READ_SPECIAL(ps) & 15;
    FRC1(0x0C) = 0;
    NMI_GATE = (NMI_GATE & ~0x1F) | 0x0F;
}

static void until(volatile u32 *count, u32 wanted) {
    /* Masked from the look at the count to the sleep, so that no interrupt falls in between. */
    __asm__ volatile("rsil a15, 1" : : : "a15", "memory");
    while (*count < wanted) __asm__ volatile("waiti 0\n rsil a15, 1" : : : "a15", "memory");
    __asm__ volatile("rsil a15, 0" : : : "a15", "memory");
}

static void frc1(u32 control, u32 load, u32 interrupts) {
    frc1_count = 0;
    FRC1(0x08) = control;
    FRC1(0x00) = load;
    EDGE_ENABLE = 2;
    WRITE_SPECIAL(intclear, FRC1_LINE);
    WRITE_SPECIAL(intenable, FRC1_LINE);
    until(&frc1_count, interrupts);
    FRC1(0x08) = 0;
    WRITE_SPECIAL(intenable, 0);
}

static void timers(void) {
    /* 80 MHz by 16, from 5000 on: 1 ms. */
    frc1(0xC4, 5000, 10);
    u32 least = ~0u, most = 0;
    for (int i = 1; i < 10; i++) {
        u32 cycles = frc1_at[i] - frc1_at[i - 1];
        if (cycles < least) least = cycles;
        if (cycles > most) most = cycles;
    }
    number("frc1 least", least);
    number("frc1 most", most);
    /* In hold mode the status stays until it is cleared; the handler clears it. */
    frc1(0xC5, 500, 3);
    number("frc1 held", frc1_at[2] - frc1_at[1]);
    /* The processor runs twice as fast, the timer does not. */
    REGISTER(0x3FF00014) = 1;
    frc1(0xC4, 5000, 3);
    number("frc1 at 160 MHz", frc1_at[2] - frc1_at[1]);
    REGISTER(0x3FF00014) = 0;
    u32 start = READ_SPECIAL(ccount);
    WRITE_SPECIAL(ccompare0, start + 40000);
    WRITE_SPECIAL(intenable, TIMER_LINE);
    until(&timer_at, 1);
    WRITE_SPECIAL(intenable, 0);
    number("ccompare", timer_at - start);
}

static void masking(void) {
    WRITE_SPECIAL(intenable, SOFTWARE_LINE);
    __asm__ volatile("rsil a15, 1" : : : "a15", "memory");
    WRITE_SPECIAL(intset, SOFTWARE_LINE);
    number("software while masked", software_count);
    /* The NMI comes through all the same. */
    EDGE_ENABLE = 2;
    NMI_GATE = 0x0F;
    FRC1(0x08) = 0xC0;
    FRC1(0x00) = 8000;
    while (nmi_count < 4) {}
    FRC1(0x08) = 0;
    NMI_GATE = 0;
    number("software after nmi", software_count);
    number("nmi level", nmi_level);
    __asm__ volatile("rsil a15, 0\n nop" : : : "a15", "memory");
    number("software", software_count);
    WRITE_SPECIAL(intenable, 0);
}

static void provoke(const char *name) {
    print(name);
    number("", cause);
    number("at", address);
    cause = 99;
    address = 0;
}

static void exceptions(void) {
    u32 value;
    __asm__ volatile("_l8ui %0, %1, 1" : "=a"(value) : "a"(0x40100000));
    provoke("byte of instruction ram");
    __asm__ volatile("_l16ui %0, %1, 0" : "=a"(value) : "a"(0x40200000));
    provoke("half word of flash");
    __asm__ volatile("_s8i %0, %1, 3" : : "a"(0), "a"(0x40100000));
    provoke("byte into instruction ram");
    __asm__ volatile("_l32i %0, %1, 0" : "=a"(value) : "a"(0x3FFE8002));
    provoke("misaligned");
    __asm__ volatile("_l32i %0, %1, 0" : "=a"(value) : "a"(0));
    provoke("null load");
    __asm__ volatile("_s32i %0, %1, 4" : : "a"(0), "a"(0));
    provoke("null store");
    __asm__ volatile("syscall");
    provoke("syscall");
    __asm__ volatile("ill");
    provoke("ill");
}

static void pins(void) {
    REGISTER(0x60000804) = 0x30 | 0x80;
    REGISTER(0x60000808) = 0x30 | 0x80;
    GPIO(0x04) = 1 << 12;
    GPIO(0x10) = 1 << 12;
    GPIO(0x28 + 4 * 13) = 2 << 7;
    WRITE_SPECIAL(intenable, GPIO_LINE);
    u32 level = GPIO(0x18) >> 12 & 3;
    GPIO(0x08) = 1 << 12;
    number("levels", level << 2 | (GPIO(0x18) >> 12 & 3));
    until(&gpio_count, 3);
    WRITE_SPECIAL(intenable, 0);
    number("falling edges", gpio_count);
    number("gpio status", gpio_status);
    /* Open drain: a one is let go, and what is outside wins. */
    GPIO(0x28 + 4 * 12) = 4;
    GPIO(0x04) = 1 << 12;
    number("open drain", GPIO(0x18) >> 12 & 1);
}

static void serial(void) {
    UART(0x24) = 8 | 2u << 24 | 1u << 31;
    UART(0x10) = ~0u;
    UART(0x0C) = 0x191;
    WRITE_SPECIAL(intenable, UART_LINE);
    print("send\n");
    until(&received_count, 12);
    for (u32 i = 0; i < 11; i++) put(received[i]);
    put('\n');
    number("line errors", line_errors);
    WRITE_SPECIAL(intenable, 0);
}

int main(void) {
    u32 reason = RTC(0x14);
    /* The crystal's 26 MHz make 80 MHz: the PLL's block 103 on host 4. */
    REGISTER(0x60000D10) = 1 << 24 | 0x88 << 16 | 1 << 8 | 103;
    REGISTER(0x60000D10) = 1 << 24 | 0x91 << 16 | 2 << 8 | 103;
    UART(0x14) = 694;
    number("\nreset", reason);
    u32 bits = 0;
    for (int i = 0; i < 16; i++) bits |= kept[i];
    if (reason == 1) {
        number("ram at power-on", bits != 0);
        for (int i = 0; i < 16; i++) kept[i] = 1u << i;
        RTC_MEMORY = 1;
        timers();
        masking();
        exceptions();
        pins();
        serial();
        drain();
        WATCHDOG(0x04) = 1;
        WATCHDOG(0x08) = 2;
        WATCHDOG(0x00) = 0x39;
        EDGE_ENABLE = 1;
        WRITE_SPECIAL(intenable, WATCHDOG_LINE);
        until(&warned, 1);
        print("warned\n");
        while (1) {}
    }
    number("ram after a reset", bits);
    number("starts", ++RTC_MEMORY);
    if (reason == 4) {
        drain();
        RTC(0x00) = 1u << 31;
    }
    print("end\n");
    return 0;
}
