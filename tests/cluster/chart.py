"""What is promised of the chart, from its installation to its end: the first and the last promises on a cluster with nodes."""
from clients import credentials, pod
from injection import STATUS
from installed import NAME
from promises import Promises, check, wait_for

at_first, tested, at_last = Promises(), Promises(), Promises()


def dry_run(demo):
    return demo.dry_run(pod("dry-run"))


def is_limited(demo):
    return demo.cluster.has_policies and demo.cluster.exists("validatingadmissionpolicybinding", NAME)


@at_first
def the_chart_comes_up_with_two_replicas_and_certificates_of_its_own(demo):
    demo.release.install()
    check(demo.release.available() == 2, f"two replicas are available: {demo.release.available()}")
    authority = demo.release.authority()
    check(authority.startswith("-----BEGIN CERTIFICATE-----"), f"an authority is in the Secret: {authority!r}")
    bundles = demo.release.bundles()
    check(bundles and all(bundle == {authority} for bundle in bundles), f"and in the bundle of each webhook, alone: {bundles}")
    check(is_limited(demo) == demo.cluster.has_policies, "the webhook's account is limited by a policy, where the server has policies")
    # The API server watches the configuration: it takes a moment until it trusts a new authority.
    wait_for("a Pod is injected", lambda: STATUS in dry_run(demo).stdout, 30, seen=lambda: dry_run(demo).stderr)


@tested.where(lambda demo: demo.is_native)
def helm_test_passes(demo):
    said = demo.release.test()
    check("Succeeded" in said, said)


@at_last
def after_an_uninstall_pods_are_created_as_they_are_and_injected_ones_keep_their_credentials(demo):
    demo.release.uninstall()
    check(not demo.cluster.exists("mutatingwebhookconfiguration", NAME), "the webhook configuration is gone")
    check(not demo.cluster.exists("clusterrole", NAME), "and what it was allowed to do")
    check(not is_limited(demo), "and the policy that limits it")
    wait_for("a labelled Pod is left as it is", lambda: (ran := dry_run(demo)).returncode == 0 and STATUS not in ran.stdout, 30,
             seen=lambda: dry_run(demo).stderr)
    for version in ("v1", "v2"):
        said = demo.kubectl("exec", "nginx", "--container=nginx", "--", "/imds", version).stdout
        check(credentials(said), f"the seed's Pod still has credentials by {version}: {said}")
