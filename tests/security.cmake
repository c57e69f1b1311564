# Who may connect: the files of keys, and the sockets without the daemon's core.
if(BEAM_DAEMON AND TARGET beamdcore)
  pkg_check_modules(ZEROMQ REQUIRED IMPORTED_TARGET GLOBAL libzmq)
  beam_add_test(test_keys SOURCES unit/test_keys.c common/keys.c LIBS beamdcore PkgConfig::ZEROMQ LABELS unit)
  beam_add_test(test_zap SOURCES system/test_zap.c system/zap_world.c common/keys.c LIBS beamdcore PkgConfig::ZEROMQ
                LABELS system TIMEOUT 300)
  if(BEAM_SANITIZE MATCHES thread) # libzmq's queues are not instrumented
    set_tests_properties(test_zap PROPERTIES ENVIRONMENT "TSAN_OPTIONS=ignore_noninstrumented_modules=1")
  endif()
endif()
if(BEAM_DAEMON AND TARGET beamd AND TARGET beamctl_parts)
  # a library of tests/system, which is added later
  beam_add_test(test_beamd_curve SOURCES system/test_beamd_curve.c common/keys.c
                LIBS beamtest_daemon beamctl_parts PkgConfig::ZEROMQ LABELS system TIMEOUT 300)
endif()
