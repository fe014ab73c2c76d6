#pragma once

#include <cstdint>
#include <string>

namespace multimeditron {

/// Seconds since the system started this process.
double seconds_since_process_start();

/// Largest resident memory so far, in bytes.
int64_t peak_resident_bytes();

/// Gives memory that is free inside the allocator back to the system, where it can (glibc).
void release_free_memory();

/// Lets peak_resident_bytes() begin anew from what is resident now, where the system can (Linux).
void reset_peak_resident();

/// The number of processes that torchrun, srun or mpirun started for this job, by their variables; 1 where none of them did.
int64_t world_size();

/// "2026-11-25", local time.
std::string today_iso_date();

}  // namespace multimeditron
