// SPDX-License-Identifier: Apache-2.0
//
// Crash points: the named moments at which a test ends the process, because the order of things on the disk matters there.
//
//   crash_point(CrashPoint::ActorCommitted);      one relaxed load when nothing is armed
//
//   INSULA_CRASH_AT=NAME[:NTH[:ACTION]]     in the environment of `insula serve`, for developers: the NTH time (1) that
//                                           NAME is reached, the process ends at once (exit, as by kill -9), or the thread
//                                           that is there stops for ever (hang). "actor.*" and "*" name several.
//
// `insula crash-points` lists all names; tests/faults goes through every one. Points of runners are handed down by the
// supervisor at their start: a runner has no environment, and nothing that a Worker can call arms or lists anything. When
// one runner has ended at a point, those that start later are not armed.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "src/base/error.h"

// POINT(identifier, process, name): in the order in which they happen.
#define INSULA_CRASH_POINTS(POINT)                                                                       \
  /* The storage of an actor */                                                                          \
  POINT(ActorDatabaseMade, Runner, "actor.database.made")         /* its first page is written */        \
  POINT(ActorCommitting, Runner, "actor.committing")              /* a turn has written */               \
  POINT(ActorLogWritten, Runner, "actor.log.written")             /* one page of a turn, perhaps not all */ \
  POINT(ActorCommitted, Runner, "actor.committed")                /* in the kernel's hands */            \
  POINT(ActorSyncing, Runner, "actor.syncing")                                                           \
  POINT(ActorSynced, Runner, "actor.synced")                      /* nobody has been told */             \
  POINT(ActorGateOpening, Runner, "actor.gate.opening")           /* what was held back is about to be said */ \
  POINT(ActorDeletingAll, Runner, "actor.deleting_all")                                                  \
  POINT(ActorDeletedAll, Runner, "actor.deleted_all")             /* the alarm that stays is not back yet */ \
  POINT(ActorAlarmTold, Runner, "actor.alarm.told")               /* to the supervisor, before the sync */ \
  POINT(ActorCheckpointing, Runner, "actor.checkpointing")                                               \
  POINT(ActorHistoryWritten, Runner, "actor.history.written")     /* a record, not synced */             \
  POINT(ActorHistorySynced, Runner, "actor.history.synced")       /* the header does not count it yet */ \
  POINT(ActorHistoryHeaded, Runner, "actor.history.headed")       /* a header, not synced */             \
  POINT(ActorHistoryCut, Runner, "actor.history.cut")             /* given up, the header is the old one */ \
  POINT(ActorPageMoved, Runner, "actor.page.moved")               /* of a checkpoint */                  \
  POINT(ActorLogEmptied, Runner, "actor.log.emptied")             /* after a checkpoint, not synced */   \
  POINT(ActorCheckpointed, Runner, "actor.checkpointed")                                                 \
  POINT(ActorRestoreNoted, Runner, "actor.restore.noted")                                                \
  POINT(ActorRestoring, Runner, "actor.restoring")                /* at an opening */                    \
  POINT(ActorRestored, Runner, "actor.restored")                  /* as one transaction in the log */    \
  POINT(ActorClosing, Runner, "actor.closing")                                                           \
  /* The supervisor's store */                                                                           \
  POINT(StoreMigrating, Supervisor, "store.migrating")            /* a step is made, not committed */    \
  POINT(StoreMigrated, Supervisor, "store.migrated")              /* one step of perhaps several */      \
  POINT(StoreOpened, Supervisor, "store.opened")                  /* with an epoch of its own */         \
  POINT(StoreWritten, Supervisor, "store.written")                /* a group of batches, not committed */ \
  POINT(StoreCommitted, Supervisor, "store.committed")            /* and synced; nobody has been told */ \
  /* Objects, facets, alarms */                                                                          \
  POINT(ObjectsMigrating, Supervisor, "objects.migrating")        /* classes of the configuration */     \
  POINT(ObjectsMigrated, Supervisor, "objects.migrated")                                                 \
  POINT(ObjectFileMade, Supervisor, "object.file.made")           /* one of three */                     \
  POINT(ObjectFilesMade, Supervisor, "object.files.made")         /* and their names synced */           \
  POINT(ObjectOpening, Supervisor, "object.opening")              /* its runner has not heard of it */   \
  POINT(FacetNumbering, Supervisor, "facet.numbering")                                                   \
  POINT(FacetNumbered, Supervisor, "facet.numbered")              /* there are no files yet */           \
  POINT(FacetDeleting, Supervisor, "facet.deleting")                                                     \
  POINT(FacetDeleted, Supervisor, "facet.deleted")                /* its files are rubbish now */        \
  POINT(FacetFileRemoved, Supervisor, "facet.file.removed")       /* one of three */                     \
  POINT(FacetFilesRemoved, Supervisor, "facet.files.removed")     /* the note about rubbish is there */  \
  POINT(FacetCloning, Supervisor, "facet.cloning")                /* its numbers are taken */            \
  POINT(FacetFileCopied, Supervisor, "facet.file.copied")                                                \
  POINT(FacetCopied, Supervisor, "facet.copied")                  /* it has no name yet */               \
  POINT(FacetCloned, Supervisor, "facet.cloned")                                                         \
  POINT(AlarmSetting, Supervisor, "alarm.setting")                                                       \
  POINT(AlarmSet, Supervisor, "alarm.set")                                                               \
  POINT(AlarmRinging, Supervisor, "alarm.ringing")                                                       \
  POINT(AlarmAnswered, Supervisor, "alarm.answered")              /* its handler has ended */            \
  POINT(AlarmAgain, Supervisor, "alarm.again")                    /* it has failed, and is tried again */ \
  /* Workflows */                                                                                        \
  POINT(WorkflowCreating, Supervisor, "workflow.creating")                                               \
  POINT(WorkflowCreated, Supervisor, "workflow.created")          /* the caller does not know */         \
  POINT(WorkflowLoaded, Supervisor, "workflow.loaded")            /* into memory */                      \
  POINT(WorkflowRunStarting, Supervisor, "workflow.run.starting")                                        \
  POINT(WorkflowStepAsked, Supervisor, "workflow.step.asked")     /* by the run */                       \
  POINT(WorkflowStepInvoking, Supervisor, "workflow.step.invoking")                                      \
  POINT(WorkflowAttemptEnded, Supervisor, "workflow.attempt.ended")  /* nothing of it is written */      \
  POINT(WorkflowJournalling, Supervisor, "workflow.journalling")                                         \
  POINT(WorkflowJournalled, Supervisor, "workflow.journalled")    /* nobody has been told */             \
  POINT(WorkflowStepAnswering, Supervisor, "workflow.step.answering")                                    \
  POINT(WorkflowTimerFired, Supervisor, "workflow.timer.fired")                                          \
  POINT(WorkflowRowDue, Supervisor, "workflow.row.due")           /* a sleeping instance is to wake */   \
  POINT(WorkflowOperated, Supervisor, "workflow.operated")        /* event, pause, restart, terminate */ \
  POINT(WorkflowRunEnded, Supervisor, "workflow.run.ended")                                              \
  POINT(WorkflowMoving, Supervisor, "workflow.moving")            /* from the log to its history */      \
  POINT(WorkflowMoved, Supervisor, "workflow.moved")              /* it leaves memory now */             \
  POINT(WorkflowTrimming, Supervisor, "workflow.trimming")        /* the log */                          \
  POINT(WorkflowRemoving, Supervisor, "workflow.removing")        /* by its owner */                     \
  POINT(WorkflowExpiring, Supervisor, "workflow.expiring")        /* by its retention */

namespace insula {

enum class CrashPoint : std::uint8_t {
#define POINT(identifier, process, name) identifier,
  INSULA_CRASH_POINTS(POINT)
#undef POINT
};

struct CrashPointInfo {
  enum class Process : std::uint8_t { Runner, Supervisor };
  Process process;
  std::string_view name;
};

inline constexpr std::array kCrashPoints{
#define POINT(identifier, process, name) CrashPointInfo{CrashPointInfo::Process::process, name},
    INSULA_CRASH_POINTS(POINT)
#undef POINT
};

// How a process ends at a point: nothing is flushed, no handler runs.
inline constexpr int kExitCrashPoint = 88;

// Arms the points of `process` that `text` names, "NAME[:NTH[:ACTION]]"; a text that names none of them changes nothing.
// Errors: InvalidInput, for words that are wrong in any process.
Result<> arm_crash_points(std::string_view text, CrashPointInfo::Process process);
void disarm_crash_points() noexcept;

// One line per point: process and name.
std::string list_of_crash_points();

namespace crash_point_details {
extern std::atomic<bool> is_armed;
void reached(CrashPoint point) noexcept;
}  // namespace crash_point_details

inline void crash_point(CrashPoint point) noexcept {
  if (crash_point_details::is_armed.load(std::memory_order_relaxed)) [[unlikely]] crash_point_details::reached(point);
}

}  // namespace insula
