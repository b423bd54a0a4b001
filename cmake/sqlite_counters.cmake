# Writes a copy of sqlite3.c whose statements also count the rows that they visit and the rows that they write: what
# `rowsRead` and `rowsWritten` of a cursor report, and SQLite itself does not know. The counters are two more places in
# the array behind sqlite3_stmt_status(): 10 counts visits, 11 counts writes (src/sql/statement.cc).
#
#   cmake -DFROM=sqlite3.c -DTO=copy.c -P cmake/sqlite_counters.cmake
file(READ "${FROM}" source)

# Puts `more` behind the only place that reads `anchor`. A new version of SQLite may have moved it: then we stop.
macro(after anchor more)
  string(FIND "${source}" "${anchor}" first)
  string(FIND "${source}" "${anchor}" last REVERSE)
  if(first EQUAL -1 OR NOT first EQUAL last)
    message(FATAL_ERROR "sqlite3.c has none or several of: ${anchor}")
  endif()
  string(REPLACE "${anchor}" "${anchor}${more}" source "${source}")
endmacro()

set(read "\n  p->aCounter[10]++;")
set(written "\n  if( !pC->isEphemeral ) p->aCounter[11]++;")

string(FIND "${source}" "u32 aCounter[9];" place)
if(place EQUAL -1)
  message(FATAL_ERROR "sqlite3.c has no array of nine counters")
endif()
string(REPLACE "u32 aCounter[9];" "u32 aCounter[12];" source "${source}")

after("    p->aCounter[pOp->p5]++;" "${read}")                                # Next, Prev, SorterNext: one more row
after("case OP_Rewind: {        /* jump0, ncycle */
  VdbeCursor *pC;
  BtCursor *pCrsr;
  int res;
" "${read}\n")
after("  rc = sqlite3BtreeLast(pCrsr, &res);
  pC->nullRow = (u8)res;" "${read}")
after("notExistsWithKey:" "${read}")                                          # SeekRowid, NotExists
after("\nseek_not_found:" "${read}")                                          # SeekGE, SeekGT, SeekLE, SeekLT
after("    rc = sqlite3BtreeCount(db, pCrsr, &nEntry);" "\n    p->aCounter[10] += (u32)nEntry;")
after("  x.pData = pData->z;
  x.nData = pData->n;
  seekResult =" " /* counted */")
string(REPLACE "  seekResult = /* counted */" "  if( !pC->isEphemeral ) p->aCounter[11]++;\n  seekResult =" source "${source}")
after("  x.aMem = aMem + pOp->p3;
  x.nMem = (u16)pOp->p4.i;
  rc = sqlite3BtreeInsert(pC->uc.pCursor, &x,
       (pOp->p5 & (OPFLAG_APPEND|OPFLAG_SAVEPOSITION|OPFLAG_PREFORMAT)),
      ((pOp->p5 & OPFLAG_USESEEKRESULT) ? pC->seekResult : 0)
      );" "${written}")
after("  if( opflags & OPFLAG_NCHANGE ){
    p->nChange++;" "\n    p->aCounter[11]++;")
after("    p->nChange += nChange;" "\n    p->aCounter[11] += (u32)nChange;")

file(WRITE "${TO}" "${source}")
