//! From instruction bytes to an operation and its operands.
//!
//! Follows the Xtensa ISA Reference Manual, chapter 7 (opcode maps), restricted to the options of the LX106 core. Knows
//! nothing of registers' contents or memory.

/// What an instruction does. Names are the manual's mnemonics; `.N` forms share the operation of the wide one.
#[expect(missing_docs, reason = "each variant is the mnemonic of the ISA manual")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Abs,
    Add,
    Addi,
    Addx2,
    Addx4,
    Addx8,
    And,
    Ball,
    Bany,
    Bbc,
    Bbci,
    Bbs,
    Bbsi,
    Beq,
    Beqi,
    Beqz,
    Bge,
    Bgei,
    Bgeu,
    Bgeui,
    Bgez,
    Blt,
    Blti,
    Bltu,
    Bltui,
    Bltz,
    Bnall,
    Bne,
    Bnei,
    Bnez,
    Bnone,
    Break,
    Call0,
    Callx0,
    Extui,
    Ill,
    J,
    Jx,
    L16si,
    L16ui,
    L32i,
    L32r,
    L8ui,
    Moveqz,
    Movgez,
    Movi,
    Movltz,
    Movnez,
    Mul16s,
    Mul16u,
    Mull,
    Neg,
    Nop,
    Nsa,
    Nsau,
    Or,
    Ret,
    Rfde,
    Rfe,
    Rfi,
    Rsil,
    Rsr,
    S16i,
    S32i,
    S8i,
    Simcall,
    Sll,
    Slli,
    Sra,
    Srai,
    Src,
    Srl,
    Srli,
    Ssa8b,
    Ssa8l,
    Ssai,
    Ssl,
    Ssr,
    Sub,
    Subx2,
    Subx4,
    Subx8,
    Syscall,
    Waiti,
    Wsr,
    Xor,
    Xsr,
}

/// A decoded instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub operation: Operation,
    /// Field `r`: an address register, 0–15, mostly the result.
    pub r: u8,
    /// Field `s`: an address register, 0–15.
    pub s: u8,
    /// Field `t`: an address register, 0–15.
    pub t: u8,
    /// The immediate, scaled and sign-extended; for branches, what is added to the instruction's address.
    pub immediate: i32,
    /// Length in bytes, 2 or 3.
    pub length: u8,
}

const B4CONST: [i32; 16] = [-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256];
const B4CONSTU: [i32; 16] = [32768, 65536, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256];

/// Decodes the instruction in the low bytes of `word`, first byte lowest. `None`: not an instruction of this core.
pub fn decode(word: u32) -> Option<Instruction> {
    let field = |shift: u32| ((word >> shift) & 15) as u8;
    let (t, s, r) = (field(4), field(8), field(12));
    let imm8 = ((word >> 16) & 255) as i32;
    let signed8 = i32::from(imm8 as u8 as i8);
    let wide = |operation, immediate| Some(Instruction { operation, r, s, t, immediate, length: 3 });
    match word & 15 {
        0 => decode_register(word),
        1 => wide(Operation::L32r, (0xFFFC_0000_u32 | ((word >> 6) & 0x3_FFFC)) as i32),
        2 => match r {
            0 => wide(Operation::L8ui, imm8),
            1 => wide(Operation::L16ui, imm8 << 1),
            2 => wide(Operation::L32i, imm8 << 2),
            4 => wide(Operation::S8i, imm8),
            5 => wide(Operation::S16i, imm8 << 1),
            6 => wide(Operation::S32i, imm8 << 2),
            9 => wide(Operation::L16si, imm8 << 1),
            10 => wide(Operation::Movi, (((i32::from(s) << 8) | imm8) << 20) >> 20),
            12 => wide(Operation::Addi, signed8),
            13 => wide(Operation::Addi, signed8 << 8),
            _ => None,
        },
        5 if t & 3 == 0 => wide(Operation::Call0, ((((word << 8) as i32) >> 14) << 2) + 4),
        6 => decode_short_branch(word),
        7 => decode_branch(word),
        8..=13 => decode_narrow(word),
        _ => None,
    }
}

fn decode_short_branch(word: u32) -> Option<Instruction> {
    let field = |shift: u32| ((word >> shift) & 15) as u8;
    let (t, s, r) = (field(4), field(8), field(12));
    let word = word & 0xFF_FFFF;
    let signed8 = i32::from((word >> 16) as u8 as i8);
    let signed12 = ((word << 8) as i32) >> 20;
    let signed18 = ((word << 8) as i32) >> 14;
    let condition = [Operation::Beqz, Operation::Bnez, Operation::Bltz, Operation::Bgez];
    let immediate = [Operation::Beqi, Operation::Bnei, Operation::Blti, Operation::Bgei];
    let index = usize::from(t >> 2);
    let (operation, offset) = match (t & 3, t >> 2) {
        (0, _) => (Operation::J, signed18),
        (1, _) => (condition[index], signed12),
        (2, _) => (immediate[index], signed8),
        (_, 2) => (Operation::Bltui, signed8),
        (_, 3) => (Operation::Bgeui, signed8),
        _ => return None,
    };
    Some(Instruction { operation, r, s, t, immediate: offset + 4, length: 3 })
}

/// Returns the constant that `beqi` and its like compare with.
pub fn branch_constant(r: u8, unsigned: bool) -> i32 {
    if unsigned { B4CONSTU[usize::from(r & 15)] } else { B4CONST[usize::from(r & 15)] }
}

fn decode_branch(word: u32) -> Option<Instruction> {
    use Operation as O;
    let field = |shift: u32| ((word >> shift) & 15) as u8;
    let (t, s, r) = (field(4), field(8), field(12));
    const TABLE: [O; 16] = [
        O::Bnone,
        O::Beq,
        O::Blt,
        O::Bltu,
        O::Ball,
        O::Bbc,
        O::Bbci,
        O::Bbci,
        O::Bany,
        O::Bne,
        O::Bge,
        O::Bgeu,
        O::Bnall,
        O::Bbs,
        O::Bbsi,
        O::Bbsi,
    ];
    let immediate = i32::from((word >> 16) as u8 as i8) + 4;
    Some(Instruction { operation: TABLE[usize::from(r)], r, s, t, immediate, length: 3 })
}

fn decode_narrow(word: u32) -> Option<Instruction> {
    let field = |shift: u32| ((word >> shift) & 15) as u8;
    let (t, s, r) = (field(4), field(8), field(12));
    let narrow =
        |operation, r, s, t, immediate| Some(Instruction { operation, r, s, t, immediate, length: 2 });
    match word & 15 {
        8 => narrow(Operation::L32i, r, s, t, i32::from(r) << 2),
        9 => narrow(Operation::S32i, r, s, t, i32::from(r) << 2),
        10 => narrow(Operation::Add, r, s, t, 0),
        11 => narrow(Operation::Addi, r, s, r, if t == 0 { -1 } else { i32::from(t) }),
        12 if t < 8 => {
            let immediate = (i32::from(t) << 4) | i32::from(r);
            narrow(Operation::Movi, r, s, s, if immediate >= 96 { immediate - 128 } else { immediate })
        }
        12 => {
            let operation = if t < 12 { Operation::Beqz } else { Operation::Bnez };
            narrow(operation, r, s, t, ((i32::from(t & 3) << 4) | i32::from(r)) + 4)
        }
        _ => match (r, t) {
            (0, _) => narrow(Operation::Or, t, s, s, 0),
            (15, 0) if s == 0 => narrow(Operation::Ret, r, s, t, 0),
            (15, 2) => narrow(Operation::Break, r, s, t, 0),
            (15, 3) if s == 0 => narrow(Operation::Nop, r, s, t, 0),
            (15, 6) if s == 0 => narrow(Operation::Ill, r, s, t, 0),
            _ => None,
        },
    }
}

fn decode_register(word: u32) -> Option<Instruction> {
    use Operation as O;
    let field = |shift: u32| ((word >> shift) & 15) as u8;
    let (t, s, r, op1, op2) = (field(4), field(8), field(12), field(16), field(20));
    let special = i32::from(s) | (i32::from(r) << 4);
    let high = i32::from(op2 & 1) << 4;
    let (operation, immediate) = match (op1, op2) {
        (0, 0) => (decode_control(r, s, t)?, 0),
        (0, 4) => match r {
            0 if t == 0 => (O::Ssr, 0),
            1 if t == 0 => (O::Ssl, 0),
            2 if t == 0 => (O::Ssa8l, 0),
            3 if t == 0 => (O::Ssa8b, 0),
            4 if t < 2 => (O::Ssai, i32::from(s) | (i32::from(t) << 4)),
            14 => (O::Nsa, 0),
            15 => (O::Nsau, 0),
            _ => return None,
        },
        (0, 6) if s == 0 => (O::Neg, 0),
        (0, 6) if s == 1 => (O::Abs, 0),
        (0, 1) => (O::And, 0),
        (0, 2) => (O::Or, 0),
        (0, 3) => (O::Xor, 0),
        (0, 8) => (O::Add, 0),
        (0, 9) => (O::Addx2, 0),
        (0, 10) => (O::Addx4, 0),
        (0, 11) => (O::Addx8, 0),
        (0, 12) => (O::Sub, 0),
        (0, 13) => (O::Subx2, 0),
        (0, 14) => (O::Subx4, 0),
        (0, 15) => (O::Subx8, 0),
        (1, 0 | 1) => (O::Slli, 32 - (i32::from(t) | high)),
        (1, 2 | 3) => (O::Srai, i32::from(s) | high),
        (1, 4) => (O::Srli, i32::from(s)),
        (1, 6) => (O::Xsr, special),
        (1, 8) => (O::Src, 0),
        (1, 9) if s == 0 => (O::Srl, 0),
        (1, 10) if t == 0 => (O::Sll, 0),
        (1, 11) if s == 0 => (O::Sra, 0),
        (1, 12) => (O::Mul16u, 0),
        (1, 13) => (O::Mul16s, 0),
        (2, 8) => (O::Mull, 0),
        (3, 0) => (O::Rsr, special),
        (3, 1) => (O::Wsr, special),
        (3, 8) => (O::Moveqz, 0),
        (3, 9) => (O::Movnez, 0),
        (3, 10) => (O::Movltz, 0),
        (3, 11) => (O::Movgez, 0),
        (4 | 5, _) => (O::Extui, i32::from(s) | (i32::from(op1 & 1) << 4)),
        _ => return None,
    };
    // Field op2 of `extui` is the mask's width less one; `r` and `t` are registers, so it takes the place of `s`.
    let s = if operation == O::Extui { op2 } else { s };
    Some(Instruction { operation, r, s, t, immediate, length: 3 })
}

fn decode_control(r: u8, s: u8, t: u8) -> Option<Operation> {
    Some(match (r, s, t) {
        (0, 0, 0) => Operation::Ill,
        (0, 0, 8) => Operation::Ret,
        (0, _, 10) => Operation::Jx,
        (0, _, 12) => Operation::Callx0,
        (2, 0, 0..=3 | 8 | 12 | 13 | 15) => Operation::Nop,
        (3, 0, 0) => Operation::Rfe,
        (3, 2, 0) => Operation::Rfde,
        (3, 2..=3, 1) => Operation::Rfi,
        (4, _, _) => Operation::Break,
        (5, 0, 0) => Operation::Syscall,
        (5, 1, 0) => Operation::Simcall,
        (6, _, _) => Operation::Rsil,
        (7, _, 0) => Operation::Waiti,
        _ => return None,
    })
}
