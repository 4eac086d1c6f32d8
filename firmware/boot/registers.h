/* Numbers that the assembler files share: bits of the LX106's special registers, addresses of the chip and its ROM. */

#define PS_EXCM                 0x10
#define PS_UM                   0x20

#define EXCCAUSE_LOAD_STORE     3
#define EXCCAUSE_INTERRUPT      4

/* Kept in step with `stack::PAINT`. */
#define STACK_PAINT             0x5a5aa5a5

/* Bytes at the lower end of the stack that nothing may use; kept in step with `stack::GUARD`. */
#define STACK_GUARD             512
/* The cause of a fault that the processor knows nothing of; kept in step with `fault::STACK_OVERFLOW`. */
#define CAUSE_STACK_OVERFLOW    0x400

/* The PLL behind the chip's internal bus, for a crystal of 26 MHz. */
#define PLL_BLOCK               103
#define PLL_HOST                4
#define PLL_REGISTER_1_26_MHZ   0x88
#define PLL_REGISTER_2_26_MHZ   0x91

/* Functions of the mask ROM (eagle.rom.addr.v6.ld of the vendor's SDK). */
#define ROM_I2C_WRITE_REGISTER  0x400072d8
#define ROM_CACHE_READ_ENABLE   0x40004678
#define ROM_WAIT_SPI_IDLE       0x4000448c
/* Where the ROM has the address of what it knows of the flash chip. */
#define ROM_FLASH_CHIP          0x3fffc714

/* UART0: 115,200 bits per second of 80 MHz, as `main.rs` sets it; a character of the ROM's 74,880 takes no longer than so many
 * cycles. */
#define UART0                   0x60000000
#define UART_CLKDIV             0x14
#define UART_STATUS             0x1c
#define UART_DIVIDER            694
#define UART_CHARACTER          20000

#define WATCHDOG_CTL            0x60000900

/* RTC control; bit 31 resets the chip. */
#define RTC_CTRL                0x60000700

/* What a fatal exception leaves in the memory of the real-time clock; `fault.rs` reads it. */
#define FAULT_RECORD            0x60001300
#define FAULT_MAGIC             0x31465044
