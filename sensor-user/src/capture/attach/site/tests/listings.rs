//! Functions as compilers write them: offset, bytes, and the instruction for the reader.

pub(super) const GUARDED: &str = "
    00 4883ec18             sub rsp,0x18
    04 64488b042528000000   mov rax,fs:0x28
    0d 4889442408           mov [rsp+0x8],rax
    12 31c0                 xor eax,eax
    14 85d2                 test edx,edx
    16 7820                 js 38
    18 4889e1               mov rcx,rsp
    1b e8b0ffffff           call elsewhere
    20 8b0424               mov eax,[rsp]
    23 488b542408           mov rdx,[rsp+0x8]
    28 64482b142528000000   sub rdx,fs:0x28
    31 7511                 jne 44
    33 4883c418             add rsp,0x18
    37 c3                   ret
    38 e893ffffff           call elsewhere
    3d b8ffffffff           mov eax,0xffffffff
    42 ebdf                 jmp 23
    44 e887ffffff           call elsewhere
";

pub(super) const CLANGGUARD: &str = "
    00 4883ec18             sub rsp,0x18
    04 64488b042528000000   mov rax,fs:0x28
    0d 4889442408           mov [rsp+0x8],rax
    12 85d2                 test edx,edx
    14 781a                 js 30
    16 e835ffffff           call elsewhere
    1b 64488b0c2528000000   mov rcx,fs:0x28
    24 483b4c2408           cmp rcx,[rsp+0x8]
    29 750c                 jne 37
    2b 4883c418             add rsp,0x18
    2f c3                   ret
    30 b8ffffffff           mov eax,0xffffffff
    35 ebe4                 jmp 1b
    37 e814ffffff           call elsewhere
";

pub(super) const TWOGUARDS: &str = "
    00 4883ec08             sub rsp,0x8
    04 64488b042528000000   mov rax,fs:0x28
    0d 48890424             mov [rsp],rax
    11 85ff                 test edi,edi
    13 7419                 je 2e
    15 b801000000           mov eax,0x1
    1a 488b1424             mov rdx,[rsp]
    1e 64482b142528000000   sub rdx,fs:0x28
    27 751e                 jne 47
    29 4883c408             add rsp,0x8
    2d c3                   ret
    2e b802000000           mov eax,0x2
    33 488b1424             mov rdx,[rsp]
    37 64482b142528000000   sub rdx,fs:0x28
    40 7505                 jne 47
    42 4883c408             add rsp,0x8
    46 c3                   ret
    47 e8c4feffff           call elsewhere
";

pub(super) const EARLYRET: &str = "
    00 4883ec18             sub rsp,0x18
    04 85d2                 test edx,edx
    06 7815                 js 1d
    08 488b542408           mov rdx,[rsp+0x8]
    0d 64482b142528000000   sub rdx,fs:0x28
    16 750a                 jne 22
    18 4883c418             add rsp,0x18
    1c c3                   ret
    1d 4883c418             add rsp,0x18
    21 c3                   ret
    22 e869feffff           call elsewhere
";

pub(super) const TAILJUMP: &str = "
    00 4883ec18             sub rsp,0x18
    04 85d2                 test edx,edx
    06 7815                 js 1d
    08 488b542408           mov rdx,[rsp+0x8]
    0d 64482b142528000000   sub rdx,fs:0x28
    16 750e                 jne 26
    18 4883c418             add rsp,0x18
    1c c3                   ret
    1d 4883c418             add rsp,0x18
    21 e9da020000           jmp elsewhere
    26 e825feffff           call elsewhere
";

pub(super) const RAXLATER: &str = "
    00 4883ec18             sub rsp,0x18
    04 85d2                 test edx,edx
    06 7800                 js 8
    08 488b542408           mov rdx,[rsp+0x8]
    0d 64482b142528000000   sub rdx,fs:0x28
    16 7507                 jne 1f
    18 89d8                 mov eax,ebx
    1a 4883c418             add rsp,0x18
    1e c3                   ret
    1f e8ecfdffff           call elsewhere
";

pub(super) const PROLOGUECHECK: &str = "
    00 4883ec18             sub rsp,0x18
    04 64488b042528000000   mov rax,fs:0x28
    0d 85d2                 test edx,edx
    0f 7505                 jne 16
    11 4883c418             add rsp,0x18
    15 c3                   ret
    16 e8b5fdffff           call elsewhere
    1b b801000000           mov eax,0x1
    20 4883c418             add rsp,0x18
    24 c3                   ret
";

pub(super) const PLAINRET: &str = "
    00 4883ec08             sub rsp,0x8
    04 e887fdffff           call elsewhere
    09 31d2                 xor edx,edx
    0b 85c0                 test eax,eax
    0d 0f48c2               cmovs eax,edx
    10 4883c408             add rsp,0x8
    14 c3                   ret
";

pub(super) const THUNK: &str = "
    00 4989c8               mov r8,rcx
    03 31c9                 xor ecx,ecx
    05 e9f6010000           jmp elsewhere
";

pub(super) const THUNKKEEP: &str = "
    00 4989c8               mov r8,rcx
    03 e9b8010000           jmp elsewhere
";

pub(super) const ARGUMENT: &str = "
    00 4883ec08             sub rsp,0x8
    04 be01000000           mov esi,0x1
    09 85d2                 test edx,edx
    0b 7800                 js d
    0d 4883c408             add rsp,0x8
    11 c3                   ret
";

pub(super) const LOOP: &str = "
    00 83ff03               cmp edi,0x3
    03 85d2                 test edx,edx
    05 7804                 js b
    07 ffca                 dec edx
    09 ebf8                 jmp 3
    0b c3                   ret
";

pub(super) const EARLY: &str = "
    00 4885ff               test rdi,rdi
    03 7402                 je 7
    05 53                   push rbx
    06 5b                   pop rbx
    07 c3                   ret
";

pub(super) const SWITCH: &str = "
    00 4885ff               test rdi,rdi
    03 7402                 je 7
    05 ffe0                 jmp rax
    07 c3                   ret
";

pub(super) const REALIGN: &str = "
    00 4883e4f0             and rsp,0xfffffffffffffff0
    04 85d2                 test edx,edx
    06 7800                 js 8
    08 c3                   ret
";

pub(super) const TABLE: &str = "
    00 83fe02               cmp esi,2
    03 7715                 ja 1a
    05 89f0                 mov eax,esi
    07 488d1522010000       lea rdx,[rip+0x122]
    0e 48630482             movsxd rax,[rdx+rax*4]
    12 4801d0               add rax,rdx
    15 ffe0                 jmp rax
    17 90                   nop
    18 31c0                 xor eax,eax
    1a c3                   ret
    1b 31d2                 xor edx,edx
    1d c3                   ret
";
